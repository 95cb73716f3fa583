//! From the bytes of a file to text: unpacked, if they are packed, and decoded. Where each part of
//! the text came from stays known, so that the file can be written again with only some of its
//! parts moved.

use super::{percent_encode_invalid, read_bytes};
use encoding_rs::{Encoding, ISO_2022_JP, UTF_8, UTF_16BE, UTF_16LE};
use flate2::read::MultiGzDecoder;
use lzma_rust2::XzReader;
use std::{io, iter};

/// What unpacking xz may take, in KiB: `xz -9` wants 64 MiB for its dictionary, and a little more.
const MAX_XZ_KIB: u32 = 80 << 10;
/// The longest declaration of XML that is looked at; real ones have 60 bytes.
const MAX_DECLARATION: usize = 200;

/// Unpacks what gzip or xz have packed; both are recognized by their first bytes. What comes out is
/// held to the limit of all input.
pub(super) fn unpack(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    if bytes.starts_with(b"\x1f\x8b") {
        read_bytes(MultiGzDecoder::new(&bytes[..]))
    } else if bytes.starts_with(b"\xfd7zXZ\0") {
        read_bytes(XzReader::new_mem_limit(&bytes[..], true, MAX_XZ_KIB)).map_err(|error| {
            match error.kind() {
                io::ErrorKind::OutOfMemory => io::Error::other(format!(
                    "unpacking it takes more than {} MiB of memory",
                    MAX_XZ_KIB >> 10
                )),
                _ => error,
            }
        })
    } else {
        Ok(bytes)
    }
}

/// A file, as bytes and as text.
#[derive(Debug, PartialEq)]
pub(crate) struct Text {
    bytes: Vec<u8>,
    /// The bytes of the byte order mark, which is no part of the text.
    mark: usize,
    encoding: &'static Encoding,
    text: String,
}

impl Text {
    /// Decodes bytes by their byte order mark, by what UTF-16 looks like, or as their XML
    /// declaration says, and otherwise as UTF-8. Nothing fails: bytes that are not UTF-8 are
    /// percent-encoded, which is what they have to be in a URL.
    pub(crate) fn decode(bytes: Vec<u8>) -> Text {
        let (encoding, mark) = match Encoding::for_bom(&bytes) {
            Some(found) => found,
            None if bytes.starts_with(b"<\0") => (UTF_16LE, 0),
            None if bytes.starts_with(b"\0<") => (UTF_16BE, 0),
            None => (declared(&bytes).unwrap_or(UTF_8), 0),
        };
        let content = &bytes[mark..];
        let text = if encoding == UTF_8 {
            percent_encode_invalid(content)
        } else {
            encoding.decode_without_bom_handling(content).0.into_owned()
        };
        Text { bytes, mark, encoding, text }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the encoding has sequences that change what the bytes after them mean.
    pub(crate) fn has_shifts(&self) -> bool {
        self.encoding == ISO_2022_JP
    }

    /// The bytes without a byte order mark, or in UTF-8 if they were in UTF-16.
    pub(super) fn into_bytes(mut self) -> Vec<u8> {
        if self.encoding != UTF_8 {
            return self.text.into_bytes();
        }
        self.bytes.drain(..self.mark);
        self.bytes
    }

    /// The bytes of the file.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where in the bytes these positions of the text are. They ascend, and are next to an ASCII
    /// character.
    pub(crate) fn places(&self, positions: impl IntoIterator<Item = usize>) -> Vec<usize> {
        let unit = if [UTF_16LE, UTF_16BE].contains(&self.encoding) { 2 } else { 1 };
        let mut steps = self.steps();
        let (mut place, mut decoded) = (self.mark, 0);
        let mut find = |position| {
            while decoded < position {
                let (bytes, text) = steps.next().expect("a position in the text");
                place += bytes;
                decoded += text;
            }
            // A step may be long, or end with an ASCII character that shows that what is before it
            // is malformed.
            place - (decoded - position) * unit
        };
        positions.into_iter().map(&mut find).collect()
    }

    /// The text piece by piece: how many bytes become how many of UTF-8.
    fn steps(&self) -> Box<dyn Iterator<Item = (usize, usize)> + '_> {
        let content = &self.bytes[self.mark..];
        if self.encoding == UTF_8 {
            return Box::new(content.utf8_chunks().flat_map(|chunk| {
                let valid = chunk.valid().len();
                iter::once((valid, valid)).chain(chunk.invalid().iter().map(|_| (1, "%00".len())))
            }));
        }
        let mut decoder = self.encoding.new_decoder_without_bom_handling();
        Box::new(content.chunks(1).map(move |byte| {
            let mut text = [0; 32];
            let (_, _, written, _) = decoder.decode_to_utf8(byte, &mut text, false);
            (1, written)
        }))
    }

    /// ASCII text in the encoding of the file.
    pub(crate) fn encode(&self, ascii: &str) -> Vec<u8> {
        let unit = |byte| match self.encoding {
            encoding if encoding == UTF_16LE => vec![byte, 0],
            encoding if encoding == UTF_16BE => vec![0, byte],
            _ => vec![byte],
        };
        ascii.bytes().flat_map(unit).collect()
    }
}

/// The encoding in an XML declaration, if there is one and it is known. One that is obviously
/// wrong, since the declaration could be read, counts as UTF-8.
fn declared(bytes: &[u8]) -> Option<&'static Encoding> {
    let start = bytes.trim_ascii_start();
    let start = &start[..start.len().min(MAX_DECLARATION)];
    let declaration = start.strip_prefix(b"<?xml")?.split(|&byte| byte == b'>').next()?;
    let declaration = std::str::from_utf8(declaration).ok()?;
    let (_, value) = declaration.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
    let name = value[1..].split(quote).next()?;
    Encoding::for_label_no_replacement(name.as_bytes()).map(Encoding::output_encoding)
}

#[cfg(test)]
mod tests;
