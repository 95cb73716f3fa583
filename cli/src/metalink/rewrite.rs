//! A metalink with its URLs in another order, and all else as it was, byte for byte.
//!
//! The elements of the URLs change places with all that belongs to them, as the location. Their
//! preferences (version 3) or priorities (version 4) then say the same as the order, since some
//! clients sort by them.

use super::MAX_PRIORITY;
use crate::input::Text;
use roxmltree::Node;
use std::ops::Range;

/// The text of a metalink, and where the URLs are in it.
#[derive(Debug, PartialEq)]
pub(crate) struct Metalink {
    text: Text,
    version: Version,
    /// In the order of the input's mirrors.
    elements: Vec<Element>,
    /// Whether a URL's element means the same in the place of each other one. It does not if they
    /// are in elements that declare different name spaces, or if the encoding is one in which bytes
    /// mean what those before say. No metalink of a mirror network is so.
    pub(crate) can_be_reordered: bool,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Version {
    /// With preferences: from 100 for the best to 1.
    V3,
    /// With priorities: from 1 for the best to 999999.
    V4,
}

impl Version {
    /// The attribute that orders the URLs.
    pub(super) fn attribute(self) -> &'static str {
        match self {
            Version::V3 => "preference",
            Version::V4 => "priority",
        }
    }

    /// Its value for the URL at this place, from 0.
    fn number(self, place: usize) -> usize {
        match self {
            Version::V3 => 100_usize.saturating_sub(place).max(1),
            Version::V4 => (place + 1).min(MAX_PRIORITY as usize),
        }
    }
}

/// Where the element of a URL is in the text.
#[derive(Debug, PartialEq)]
pub(super) struct Element {
    range: Range<usize>,
    /// The value of the attribute that orders it; if it has none, where that is to be added.
    number: Range<usize>,
    has_number: bool,
}

impl Element {
    /// Finds the parts of the element at `node`, in a text in which the document begins at
    /// `offset`.
    pub(super) fn new(node: Node<'_, '_>, version: Version, offset: usize) -> Element {
        let shift = |range: Range<usize>| range.start + offset..range.end + offset;
        let is_meant = |name, namespace: Option<&str>| name == version.attribute() && namespace.is_none();
        let mut attributes = node.attributes();
        let attribute = attributes.find(|it| is_meant(it.name(), it.namespace()));
        let number = attribute.map_or_else(
            || {
                let xml = &node.document().input_text()[node.range()];
                let after = xml.find(|c: char| c.is_ascii_whitespace() || c == '/' || c == '>');
                let after = node.range().start + after.unwrap_or(xml.len());
                after..after
            },
            |attribute| attribute.range_value(),
        );
        Element { range: shift(node.range()), number: shift(number), has_number: attribute.is_some() }
    }
}

impl Metalink {
    pub(super) fn new(
        text: Text,
        version: Version,
        elements: Vec<Element>,
        can_be_reordered: bool,
    ) -> Metalink {
        Metalink { text, version, elements, can_be_reordered }
    }

    /// The metalink with these of the mirrors' elements alone, and in this order, in the first of
    /// their places. White space before the places that are left over goes with them.
    pub(crate) fn reordered(&self, order: &[usize]) -> Vec<u8> {
        let mut sorted: Vec<usize> = (0..self.elements.len()).collect();
        sorted.sort_unstable_by_key(|&index| self.elements[index].range.start);
        let positions = sorted.iter().flat_map(|&index| {
            let Element { range, number, .. } = &self.elements[index];
            let space = self.text.as_str()[..range.start].trim_ascii_end().len();
            [space, range.start, number.start, number.end, range.end]
        });
        let places = self.text.places(positions);
        let slots: Vec<Place> = places.chunks_exact(5).map(Place::new).collect();
        let mut sources = vec![Place::default(); slots.len()];
        for (&index, slot) in sorted.iter().zip(&slots) {
            sources[index] = *slot;
        }

        let bytes = self.text.bytes();
        let mut out = Vec::with_capacity(bytes.len());
        let mut done = 0;
        for (rank, slot) in slots.iter().enumerate() {
            if let Some(&index) = order.get(rank) {
                let mut number = self.version.number(rank).to_string();
                if !self.elements[index].has_number {
                    number = format!(" {}=\"{number}\"", self.version.attribute());
                }
                let source = sources[index];
                out.extend_from_slice(&bytes[done..slot.start]);
                out.extend_from_slice(&bytes[source.start..source.number_start]);
                out.extend(self.text.encode(&number));
                out.extend_from_slice(&bytes[source.number_end..source.end]);
            } else {
                out.extend_from_slice(&bytes[done..slot.space]);
            }
            done = slot.end;
        }
        out.extend_from_slice(&bytes[done..]);
        out
    }
}

/// Where an element is in the bytes.
#[derive(Debug, Clone, Copy, Default)]
struct Place {
    /// The start of the white space before it.
    space: usize,
    start: usize,
    number_start: usize,
    number_end: usize,
    end: usize,
}

impl Place {
    fn new(places: &[usize]) -> Place {
        let &[space, start, number_start, number_end, end] = places else {
            unreachable!("an element has five places")
        };
        Place { space, start, number_start, number_end, end }
    }
}
