//! Numbers in key files, read and written as GLib does it; a test compares the two.
#![forbid(unsafe_code)]

/// Follows `g_key_file_get_int64`: a number out of range becomes the nearest one within it.
#[inline]
pub(crate) fn parse_int64(value: &[u8]) -> Option<i64> {
    let (sign, digits) = match after_space(value) {
        [b'-', digits @ ..] => (-1, digits),
        [b'+', digits @ ..] => (1, digits),
        digits => (1, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add =
        |number: i64, digit: &u8| number.saturating_mul(10).saturating_add(sign * i64::from(digit - b'0'));
    Some(digits.iter().fold(0, add))
}

/// Skips white space, to which in C the vertical tab belongs too.
fn after_space(value: &[u8]) -> &[u8] {
    let start = value.iter().position(|byte| !byte.is_ascii_whitespace() && *byte != b'\x0b');
    start.map_or(&[], |start| &value[start..])
}

/// Follows `g_key_file_get_integer`, which ignores what follows white space after the number.
pub(crate) fn parse_int(value: &[u8]) -> Option<i32> {
    let word = after_space(value).split(u8::is_ascii_whitespace).next()?;
    i32::try_from(parse_int64(word)?).ok()
}

/// Follows `g_key_file_get_double`, except for hexadecimal digits, which GLib reads and librepo
/// does not write.
#[inline]
pub(crate) fn parse_double(value: &[u8]) -> Option<f64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Follows `g_ascii_dtostr`, with which `g_key_file_set_double` writes: `%.17g` in the C locale.
pub(super) fn format_double(number: f64) -> String {
    const DIGITS: i32 = 17;
    let scientific = format!("{number:.*e}", DIGITS as usize - 1);
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let shorten = |text: &str| {
        if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }.to_string()
    };
    if (-4..DIGITS).contains(&exponent) {
        return shorten(&format!("{number:.*}", (DIGITS - 1 - exponent) as usize));
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{}e{sign}{:02}", shorten(digits), exponent.abs())
}

#[cfg(test)]
mod tests {
    use super::format_double;

    #[test]
    fn format_double_writes_as_glib_does() {
        let table = [
            (0.012345, "0.012345"),
            (0.0123, "0.0123"),
            (0.5, "0.5"),
            (1.0, "1"),
            (59.0, "59"),
            (0.000_001, "9.9999999999999995e-07"),
            (0.0001, "0.0001"),
            (0.000_099, "9.8999999999999994e-05"),
            (0.1, "0.10000000000000001"),
            (123_456_789.0, "123456789"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (1e300, "1.0000000000000001e+300"),
            (5e-324, "4.9406564584124654e-324"),
        ];
        for (number, expected) in table {
            assert_eq!(format_double(number), expected);
        }
    }
}
