//! glib's singly linked lists, read and reordered without glib: the nodes stay where they are, and
//! their data pointers are permuted.

use crate::symbols::GSList;
use std::ffi::{CStr, c_char, c_void};

/// Returns the data pointers of all nodes.
///
/// # Safety
/// `list` is NULL or a list that does not change meanwhile.
pub(crate) unsafe fn items(list: *const GSList) -> Vec<*mut c_void> {
    let mut items = Vec::new();
    let mut node = list;
    // SAFETY: a node of the list, or NULL at its end.
    while let Some(here) = unsafe { node.as_ref() } {
        items.push(here.data);
        node = here.next;
    }
    items
}

/// Replaces the data pointers of the nodes, in turn.
///
/// # Safety
/// `list` has as many nodes as there are items, and nothing else uses it meanwhile.
pub(crate) unsafe fn refill(list: *mut GSList, items: impl IntoIterator<Item = *mut c_void>) {
    let mut node = list;
    for item in items {
        // SAFETY: there is a node for each item.
        unsafe {
            (*node).data = item;
            node = (*node).next;
        }
    }
}

/// Ends the list after so many nodes, at least one, and returns the rest.
///
/// # Safety
/// The list has so many nodes, and nothing else uses it meanwhile.
pub(crate) unsafe fn cut_after(list: *mut GSList, nodes: usize) -> *mut GSList {
    let mut last = list;
    for _ in 1..nodes {
        // SAFETY: the list has so many nodes.
        last = unsafe { (*last).next };
    }
    // SAFETY: as above.
    unsafe { std::mem::replace(&mut (*last).next, std::ptr::null_mut()) }
}

/// Returns a copy of a string, in which bytes that are not UTF-8 are replaced; for NULL, the empty
/// one.
///
/// # Safety
/// `string` is NULL or a string.
pub(crate) unsafe fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}
