//! GLib's key files, found at run time.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::transmute_copy;
use std::ptr;

/// A group: its name and its keys.
pub(crate) type Group = (Vec<u8>, Vec<Read>);

/// A key with its value as text and as numbers.
#[derive(Debug)]
pub(crate) struct Read {
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
    pub(crate) int64: Option<i64>,
    pub(crate) integer: Option<c_int>,
    pub(crate) double: Option<f64>,
}

/// `G_KEY_FILE_KEEP_TRANSLATIONS`: without it, what is read depends on the user's language.
const KEEP_TRANSLATIONS: c_int = 2;

type File = *mut c_void;
type Error = *mut c_void;
type Strings = *mut *mut c_char;
type Get<T> = unsafe extern "C" fn(File, *const c_char, *const c_char, *mut Error) -> T;

/// The functions of GLib.
pub(crate) struct Glib {
    new: unsafe extern "C" fn() -> File,
    load: unsafe extern "C" fn(File, *const c_char, usize, c_int, *mut Error) -> c_int,
    get_groups: unsafe extern "C" fn(File, *mut usize) -> Strings,
    get_keys: unsafe extern "C" fn(File, *const c_char, *mut usize, *mut Error) -> Strings,
    get_value: Get<*mut c_char>,
    get_int64: Get<i64>,
    get_integer: Get<c_int>,
    get_double: Get<f64>,
    free_error: unsafe extern "C" fn(*mut Error),
    free_strings: unsafe extern "C" fn(Strings),
    free_string: unsafe extern "C" fn(*mut c_char),
    free_file: unsafe extern "C" fn(File),
}

impl Glib {
    /// Returns none if GLib is not installed.
    pub(crate) fn load() -> Option<Glib> {
        // SAFETY: GLib may be loaded at any time, and stays loaded.
        let library = unsafe { libc::dlopen(c"libglib-2.0.so.0".as_ptr(), libc::RTLD_NOW) };
        if library.is_null() {
            return None;
        }
        /// # Safety
        /// `F` is the type of the function of this name.
        unsafe fn find<F>(library: *mut c_void, name: &CStr) -> Option<F> {
            // SAFETY: the library is loaded.
            let found = unsafe { libc::dlsym(library, name.as_ptr()) };
            // SAFETY: a function pointer is as large as any other one.
            (!found.is_null()).then(|| unsafe { transmute_copy(&found) })
        }
        // SAFETY: the types are those in GLib's header.
        unsafe {
            Some(Glib {
                new: find(library, c"g_key_file_new")?,
                load: find(library, c"g_key_file_load_from_data")?,
                get_groups: find(library, c"g_key_file_get_groups")?,
                get_keys: find(library, c"g_key_file_get_keys")?,
                get_value: find(library, c"g_key_file_get_value")?,
                get_int64: find(library, c"g_key_file_get_int64")?,
                get_integer: find(library, c"g_key_file_get_integer")?,
                get_double: find(library, c"g_key_file_get_double")?,
                free_error: find(library, c"g_clear_error")?,
                free_strings: find(library, c"g_strfreev")?,
                free_string: find(library, c"g_free")?,
                free_file: find(library, c"g_key_file_free")?,
            })
        }
    }

    /// Returns the groups of a key file; none if it is malformed.
    pub(crate) fn read(&self, text: &[u8]) -> Option<Vec<Group>> {
        // SAFETY: the text has the length that is passed, and the file is freed once.
        unsafe {
            let file = (self.new)();
            let is_valid =
                (self.load)(file, text.as_ptr().cast(), text.len(), KEEP_TRANSLATIONS, ptr::null_mut()) != 0;
            let groups = is_valid.then(|| {
                let names = self.take((self.get_groups)(file, ptr::null_mut()));
                names.into_iter().map(|name| (name.to_bytes().to_vec(), self.group(file, &name))).collect()
            });
            (self.free_file)(file);
            groups
        }
    }

    /// # Safety
    /// `file` is a key file.
    unsafe fn group(&self, file: File, group: &CStr) -> Vec<Read> {
        // SAFETY: the caller's promise; strings end in NUL.
        let keys =
            unsafe { self.take((self.get_keys)(file, group.as_ptr(), ptr::null_mut(), ptr::null_mut())) };
        let read = |key: CString| {
            // SAFETY: the caller's promise; the key is in the group, so that it has a value.
            let value = unsafe {
                let value = (self.get_value)(file, group.as_ptr(), key.as_ptr(), ptr::null_mut());
                let copy = CStr::from_ptr(value).to_bytes().to_vec();
                (self.free_string)(value);
                copy
            };
            // SAFETY: the caller's promise.
            unsafe {
                Read {
                    int64: self.number(self.get_int64, file, group, &key),
                    integer: self.number(self.get_integer, file, group, &key),
                    double: self.number(self.get_double, file, group, &key),
                    key: key.into_bytes(),
                    value,
                }
            }
        };
        keys.into_iter().map(read).collect()
    }

    /// # Safety
    /// `file` is a key file.
    unsafe fn number<T>(&self, get: Get<T>, file: File, group: &CStr, key: &CStr) -> Option<T> {
        let mut error = ptr::null_mut();
        // SAFETY: the caller's promise; the error is freed, if there is one.
        unsafe {
            let number = get(file, group.as_ptr(), key.as_ptr(), &mut error);
            let is_number = error.is_null();
            (self.free_error)(&mut error);
            is_number.then_some(number)
        }
    }

    /// # Safety
    /// An array of strings that ends in NULL, which is freed here.
    unsafe fn take(&self, strings: Strings) -> Vec<CString> {
        let mut copies = Vec::new();
        // SAFETY: the caller's promise.
        unsafe {
            for index in 0.. {
                let string = *strings.add(index);
                if string.is_null() {
                    break;
                }
                copies.push(CStr::from_ptr(string).to_owned());
            }
            (self.free_strings)(strings);
        }
        copies
    }
}
