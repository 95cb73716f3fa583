use super::*;
use flate2::{Compression, write::GzEncoder};
use std::io::Write;

const XZ: [u8; 76] = *b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46\x02\0\x21\x01\x1c\0\0\0\x10\xcf\x58\xcc\x01\0\x11\
    http://a.example/\n\0\0\0\x12\x95\xd7\x50\x27\x22\x8b\x3d\0\x01\x2a\x12\x4b\x08\x54\xbc\x1f\xb6\xf3\x7d\
    \x01\0\0\0\0\x04\x59\x5a";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(bytes).expect("memory takes all");
    packed.finish().expect("memory takes all")
}

fn utf_16(text: &str, little_endian: bool) -> Vec<u8> {
    let bytes = |unit: u16| if little_endian { unit.to_le_bytes() } else { unit.to_be_bytes() };
    text.encode_utf16().flat_map(bytes).collect()
}

#[test]
fn packed_files_are_unpacked() {
    let list = b"http://a.example/\n";
    assert_eq!(unpack(list.to_vec()).expect("not packed"), list);
    assert_eq!(unpack(gzip(list)).expect("gzip"), list);
    assert_eq!(unpack(XZ.to_vec()).expect("xz"), list);
    // Files that were appended to each other, as the tools unpack them.
    assert_eq!(unpack([gzip(list), gzip(list)].concat()).expect("gzip"), list.repeat(2));
    assert_eq!(unpack([XZ, XZ].concat()).expect("xz"), list.repeat(2));
}

#[test]
fn packed_files_are_held_to_the_limit_and_may_be_damaged() {
    let error = |bytes| unpack(bytes).expect_err("it is refused").to_string();
    assert_eq!(error(gzip(&b"#".repeat(17 << 20))), "it is larger than 16 MiB, too large for a list");
    let mut huge_dictionary = XZ;
    huge_dictionary[16] = 0x20;
    huge_dictionary[20..24].copy_from_slice(&[0x09, 0x88, 0xa5, 0x76]);
    assert_eq!(error(huge_dictionary.to_vec()), "unpacking it takes more than 80 MiB of memory");
    for packed in [gzip(b"http://a.example/"), XZ.to_vec()] {
        for end in 6..packed.len() {
            error(packed[..end].to_vec());
            // Most damage is found, and none does harm.
            let mut damaged = packed.clone();
            damaged[end] ^= 0x55;
            let _ = unpack(damaged);
        }
    }
}

#[test]
fn encoding_is_found() {
    let text = |bytes: &[u8]| Text::decode(bytes.to_vec()).as_str().to_owned();
    assert_eq!(text(b"\xef\xbb\xbfa\xc3\xa9\xe9"), "a\u{e9}%E9");
    assert_eq!(text(&[b"\xff\xfe".to_vec(), utf_16("aé😀", true)].concat()), "aé😀");
    assert_eq!(text(&[b"\xfe\xff".to_vec(), utf_16("aé😀", false)].concat()), "aé😀");
    assert_eq!(text(&utf_16("<é>", true)), "<é>");
    assert_eq!(text(&utf_16("<é>", false)), "<é>");
    let declared = |name: &str| {
        text(&[format!("<?xml version='1.0' encoding={name}?>").as_bytes(), b"\xe9\xa4"].concat())
    };
    let table = [
        ("'ISO-8859-1'", "\u{e9}\u{a4}"),
        ("\"iso-8859-15\" standalone='yes'", "\u{e9}\u{20ac}"),
        ("'windows-1251'", "\u{439}\u{a4}"),
        ("'GBK'", "\u{6901}"),
        // These are wrong or unknown.
        ("'UTF-16'", "%E9%A4"),
        ("'ISO-2022-KR'", "%E9%A4"),
        ("'x'", "%E9%A4"),
        ("'", "%E9%A4"),
        ("", "%E9%A4"),
    ];
    for (name, end) in table {
        let decoded = declared(name);
        assert!(decoded.ends_with(&format!("?>{end}")), "{decoded}");
    }
}

#[test]
fn places_lead_back_to_the_bytes() {
    let utf_16_text = "<é😀>a<b>";
    let lone = [utf_16("<é", true), vec![0, 0xd8], utf_16("<b>", true)].concat();
    let gbk = b"<?xml encoding='GBK'?>\xe9\xa4<\xe9<b>\xff".to_vec();
    let table = [
        b"\xef\xbb\xbf<\xe9\xc3\xa9<b>\xff<c>".to_vec(),
        [b"\xff\xfe".to_vec(), utf_16(utf_16_text, true)].concat(),
        utf_16(utf_16_text, false),
        lone,
        gbk,
        b"<?xml encoding='latin1'?><\xe9>\xe8<a>".to_vec(),
        b"<?xml encoding='iso-2022-jp'?>\x1b$B$\"\x1b(B<a>".to_vec(),
    ];
    for bytes in table {
        let text = Text::decode(bytes);
        let brackets: Vec<usize> = text.as_str().match_indices('<').map(|(at, _)| at).collect();
        let places = text.places(brackets.iter().copied());
        assert_eq!(places.len(), brackets.len());
        for (place, bracket) in places.into_iter().zip(brackets) {
            let found = &text.bytes()[place..];
            let escape = b"\x1b(B";
            let found = found.strip_prefix(escape).unwrap_or(found);
            assert!(found.starts_with(&text.encode("<")), "{bracket} in {:?}", text.as_str());
        }
    }
}
