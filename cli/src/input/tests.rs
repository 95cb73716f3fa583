use super::*;

pub(super) fn message(bytes: &[u8]) -> String {
    let Fault { line, reason } = parse(bytes.to_vec(), false).expect_err("the list is wrong");
    Error { source: "list".into(), line, reason }.to_string()
}

#[test]
fn empty_input_and_pages_are_refused() {
    let table: [(&[u8], &str); 4] = [
        (b"", "list: there is no URL in this list"),
        (b" \n\t\r\n# nothing\n", "list: there is no URL in this list"),
        (b"<metalink/>", "list: there is no URL in this metalink"),
        (b"\xef\xbb\xbf\n<!DOCTYPE html>", "list: line 2: this is an HTML page, neither a mirrorlist nor"),
    ];
    for (bytes, start) in table {
        assert!(message(bytes).starts_with(start), "{}", message(bytes));
    }
}

#[test]
fn urls_are_distinguished_from_file_names() {
    for url in ["http://a.example/", "file:/srv", "FILE:///srv", "rsync://a", "://"] {
        assert!(is_url(OsStr::new(url)), "{url}");
    }
    for file in ["-", "mirrorlist", "/srv/list", "a:b", "file", "http:", "fil€:x"] {
        assert!(!is_url(OsStr::new(file)), "{file}");
    }
}

#[test]
fn urls_of_the_command_line_are_lines() {
    let urls = ["https://a.example/?x=http://b.example/", "http://c.example/ d"];
    let input = from_arguments(urls.map(OsString::from).to_vec());
    assert!(input.mirrors.iter().map(|mirror| &mirror.url).eq(urls));
    assert_eq!(input.reordered(&[1, 0]), b"http://c.example/ d\nhttps://a.example/?x=http://b.example/\n");
    assert!(!input.has_more_than_urls());
}

#[test]
fn directories_are_ranked_as_urls() {
    let input = parse(b"/srv/mirror\nfile:/srv\n".to_vec(), false).expect("a list");
    assert!(input.mirrors.iter().map(Mirror::ranked_url).eq(["file:///srv/mirror", "file:/srv"]));
    assert!(
        input.mirrors.iter().map(|mirror| mirror.repository(&input.kind)).eq(["/srv/mirror", "file:/srv"])
    );
}

#[test]
fn endless_input_is_refused() {
    let error = read_bytes(io::repeat(b'#')).expect_err("it is too large");
    assert_eq!(error.to_string(), "it is larger than 16 MiB, too large for a list");
    let list = b"#".repeat(MAX_BYTES as usize);
    assert_eq!(read_bytes(&list[..]).expect("it just fits").len(), list.len());
}
