//! Our parser compared with GLib's own, on generated files.

use super::*;
use crate::cache::keyfile::KeyFile;
use std::fmt::Write as _;

/// A generator with a fixed seed, so that a failure can be repeated.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 11
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
    }
}

/// The bytes that have a meaning in the grammar, and a few others.
const PIECES: &[&[u8]] = &[
    b"[",
    b"]",
    b"=",
    b" ",
    b"\t",
    b"\r",
    b"\x0b",
    b"\x0c",
    b"\0",
    b"#",
    b";",
    b"\\",
    b"\n",
    b"\n",
    b"\x7f",
    b"\x01",
    b"a",
    b"b",
    b"ts",
    b"connectime",
    b"version",
    b"Encoding",
    b"UTF-8",
    b"utf-8",
    b"latin1",
    b"[de]",
    b"[de_DE@euro]",
    b"[a]",
    b"[b]",
    b"a=",
    b"-",
    b"_",
    b".",
    b"@",
    b"+",
    b"0",
    b"1",
    b"7",
    b"1790000000",
    b"0.25",
    b"1e-3",
    b"99999999999999999999",
    b"-1",
    b"nan",
    b"inf",
    "\u{e4}".as_bytes(),
    "\u{20ac}".as_bytes(),
    "\u{1f600}".as_bytes(),
    "\u{a0}".as_bytes(),
    b"\x80",
    b"\xc3",
    b"\xff",
    b"\xe2\x82",
    b"\xef\xbb\xbf",
    b":_fm_:",
    b"http://mirror.example",
];

/// Lines of real files, and some damaged ones.
const LINES: &[&[u8]] = &[
    b"[:_librepo_:]\n",
    b"version=1\n",
    b"\n",
    b"# comment\n",
    b"[http://mirror.example]\n",
    b"ts=1790000000\n",
    b"ts = 5\r\n",
    b"connectime=0.012345\n",
    b"connectime=-1\n",
    b"  [a]  \n",
    b"[a]\t\r\n",
    b"key=value\n",
    b"key[de]=Wert\n",
    b" key = value \n",
    b"Encoding=UTF-8\n",
    b"[b] \x80\n",
    b"[c]\0x\n",
    b"k\0=x\n",
    b"k=a\0b\n",
    b"\0[[[\n",
    b"a b = c\n",
    b"a  =\n",
    b"k=\\s\\n\\q\n",
    b"[a]",
    b"k=v",
    b"k=v\r",
    b"\r\n",
    b"\r",
    b"  ",
    b"version=1 or so\n",
    b"version=\x0b 1\n",
    b"ts=\x0b\t5\n",
];

fn files(count: usize) -> Vec<Vec<u8>> {
    let mut random = Random(88_172_645_463_325_252);
    let mut files: Vec<Vec<u8>> = Vec::new();
    for number in 0..count {
        let mut file = Vec::new();
        // Without a group at the beginning, nearly all files are invalid in their first line.
        if number % 8 != 0 {
            file.extend_from_slice(random.pick(&[
                &b"[a]\n"[..],
                b"[:_librepo_:]\n",
                b"[http://mirror.example]\n",
            ]));
        }
        for _ in 0..random.below(9) {
            if random.below(3) > 0 {
                file.extend_from_slice(random.pick(LINES));
            } else {
                for _ in 0..random.below(7) {
                    file.extend_from_slice(random.pick(PIECES));
                }
                if random.below(4) > 0 {
                    file.push(b'\n');
                }
            }
        }
        files.push(file);
    }
    files
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::from("."), |text, byte| text + &format!("{byte:02x}"))
}

fn number(number: Option<impl ToString>) -> String {
    number.map_or("-".into(), |number| number.to_string())
}

/// Our reading of a file in the format of `tests/c/keyfile.c`, without the doubles.
fn ours(file: &[u8]) -> String {
    let Ok(file) = KeyFile::parse(file) else { return "invalid\n".into() };
    let mut text = String::new();
    for group in file.groups() {
        writeln!(text, "group {}", hex(group.name)).unwrap();
        for (key, _) in group.pairs() {
            // Of a key that stands there twice, GLib lists the last value twice.
            let value = group.pairs().filter(|(name, _)| *name == key).last().unwrap().1;
            let (int64, integer) = (number::parse_int64(value), number::parse_int(value));
            writeln!(text, "key {} {} {} {}", hex(key), hex(value), number(int64), number(integer)).unwrap();
        }
    }
    text
}

fn ask(program: &Path, arguments: &[&str], input: Vec<u8>) -> String {
    let mut command = Command::new(program);
    let command = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it was built");
    let mut stdin = child.stdin.take().expect("a pipe");
    let feeding = thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().expect("it ends");
    feeding.join().unwrap().expect("it reads all");
    assert!(output.status.success(), "{}", output.status);
    String::from_utf8(output.stdout).expect("ASCII")
}

#[test]
fn parser_agrees_with_glib() {
    let Some(program) = program("keyfile.c", "glib-2.0") else { return };
    let files = files(40_000);
    let mut input = Vec::new();
    for file in &files {
        input.extend(format!("{}\n", file.len()).into_bytes());
        input.extend_from_slice(file);
    }
    let output = ask(&program, &[], input);
    let mut theirs = output.split_inclusive("end\n");
    let (mut valid, mut numbers) = (0, 0);
    for file in &files {
        let theirs = theirs.next().expect("an answer to each").strip_suffix("end\n").unwrap();
        let mut without_doubles = String::new();
        for line in theirs.lines() {
            match (line.starts_with("key "), line.rsplit_once(' ')) {
                (true, Some((rest, double))) => {
                    writeln!(without_doubles, "{rest}").unwrap();
                    let value = rest.split(' ').nth(2).unwrap();
                    numbers += u32::from(double != "-");
                    check_double(value, double);
                }
                _ => writeln!(without_doubles, "{line}").unwrap(),
            }
        }
        assert_eq!(ours(file), without_doubles, "{:?}", String::from_utf8_lossy(file));
        valid += u32::from(theirs != "invalid\n");
        // Every file that is read is preserved.
        if let Ok(parsed) = KeyFile::parse(file) {
            assert_eq!(parsed.to_bytes(), *file);
        }
    }
    assert!(theirs.next().is_none());
    let _ =
        writeln!(io::stderr(), "measured: {} files, {valid} of them valid, judged as by GLib", files.len());
    // There are enough valid and invalid files, and enough numbers among the values.
    assert!(valid > 5_000 && valid < 35_000 && numbers > 1_000, "{valid} {numbers}");
}

/// Checks that we read a double as GLib does.
fn check_double(value: &str, theirs: &str) {
    let bytes: Vec<u8> = value.as_bytes()[1..]
        .chunks(2)
        .map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap())
        .collect();
    let ours = number::parse_double(&bytes);
    if let Some(ours) = ours.filter(|number| number.is_finite()) {
        assert_eq!(ours.to_bits().to_string(), theirs, "{bytes:?}");
    } else {
        // GLib also reads infinities, NaN and hexadecimal digits, none of which is a latency.
        let finite = theirs.parse().is_ok_and(|bits| f64::from_bits(bits).is_finite());
        assert!(!finite || bytes.contains(&b'x') || bytes.contains(&0x0b), "{bytes:?} {theirs}");
    }
}

#[test]
fn latency_is_written_as_glib_writes_it() {
    let Some(program) = program("keyfile.c", "glib-2.0") else { return };
    let mut random = Random(3);
    let mut numbers: Vec<f64> = (0..10_000u32)
        .map(|n| match n % 4 {
            0 => f64::from_bits(((random.next() % (1 << 52)) << 11) | (random.next() % (1 << 11))),
            1 => Duration::from_micros(random.next() % 60_000_000).as_secs_f64(),
            2 => Duration::from_nanos(random.next() % 60_000_000_000).as_secs_f64(),
            _ => 10f64.powi(random.below(40) as i32 - 20) * f64::from(n),
        })
        .filter(|number| number.is_finite())
        .collect();
    numbers.extend([
        0.0,
        1.0,
        0.1,
        0.5,
        59.999_999,
        1e-4,
        1e-5,
        9.999_999_999_999_999e-5,
        1e16,
        1e17,
        123_456.0,
    ]);
    let input: String = numbers.iter().map(|number| format!("{}\n", number.to_bits())).collect();
    let output = ask(&program, &["doubles"], input.into_bytes());
    let theirs: Vec<&str> = output.lines().collect();
    assert_eq!(theirs.len(), numbers.len());
    for (number, theirs) in numbers.iter().zip(theirs) {
        assert_eq!(number::format_double(*number), theirs, "{number:e}");
    }
}
