//! Where mirrors stand: those of the lab's table, or those of a file.
//!
//! A file has a mirror a line, in columns separated by tabs: the place, which begins with the
//! code of its country; latitude and longitude in degrees north and east; and, if it is known, the
//! capacity in Gbit/s. Empty lines and lines that begin with # are skipped.

use crate::exit::{Exit, reason};
use crate::text::escape;
use lab::geography;
use std::fs::File;
use std::io::Read;
use std::ops::RangeInclusive;
use std::path::Path;

/// More would only take memory: each is one of a table for each city.
const MOST: usize = 10_000;
const MOST_BYTES: u64 = 4 << 20;
/// In Gbit/s.
pub(crate) const CAPACITIES: RangeInclusive<f64> = 0.001..=1e6;

/// A mirror, and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Site {
    pub(crate) name: String,
    pub(crate) country: String,
    pub(crate) latitude: f64,
    pub(crate) longitude: f64,
    /// In Gbit/s, if it is known.
    pub(crate) capacity: Option<f64>,
}

/// The mirrors of the lab's table.
pub(crate) fn table() -> Vec<Site> {
    let site = |row: geography::Row| Site {
        name: row.host.into(),
        country: row.place.split(' ').next().unwrap_or_default().into(),
        latitude: row.latitude,
        longitude: row.longitude,
        capacity: None,
    };
    geography::rows().map(site).collect()
}

/// Reads the mirrors of a file.
pub(crate) fn read(path: &Path) -> Result<Vec<Site>, Exit> {
    let name = escape(&path.to_string_lossy());
    let unusable = |what: &str| Exit::unusable(&format!("--mirrors {name}: {what}"));
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MOST_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| unusable(&format!("cannot be read: {}", reason(&error))))?;
    if bytes.len() as u64 > MOST_BYTES {
        return Err(unusable("longer than 4 MiB, which is no table of mirrors"));
    }
    let text = String::from_utf8(bytes).map_err(|_| unusable("not in UTF-8"))?;
    parse(&text).map_err(|(line, what)| unusable(&format!("line {line}: {what}"))).and_then(|sites| {
        match sites.len() {
            0 => Err(unusable("no line has a mirror")),
            count if count > MOST => Err(unusable(&format!("{count} mirrors: at most {MOST} are simulated"))),
            _ => Ok(sites),
        }
    })
}

/// Reads the lines. An error has the number of its line.
fn parse(text: &str) -> Result<Vec<Site>, (usize, String)> {
    let mut sites = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if !line.trim().is_empty() && !line.starts_with('#') {
            let name = format!("m{}.example", sites.len());
            sites.push(site(name, line).map_err(|what| (number, what))?);
        }
    }
    Ok(sites)
}

fn site(name: String, line: &str) -> Result<Site, String> {
    let columns: Vec<&str> = line.split('\t').map(str::trim).collect();
    let (place, latitude, longitude, capacity) = match columns[..] {
        [place, latitude, longitude] => (place, latitude, longitude, None),
        [place, latitude, longitude, capacity] => (place, latitude, longitude, Some(capacity)),
        _ => {
            return Err(format!(
                "{} columns, separated by tabs: a place, its latitude and longitude, and perhaps a capacity \
                 are wanted",
                columns.len()
            ));
        }
    };
    let country = place.split(' ').next().unwrap_or_default();
    if country.len() != 2 || !country.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(format!(
            "the place {:?} does not begin with the two capital letters of a country, as in \"DE Frankfurt\"",
            escape(place)
        ));
    }
    Ok(Site {
        name,
        country: country.into(),
        latitude: number("latitude", latitude, -90.0..=90.0)?,
        longitude: number("longitude", longitude, -180.0..=180.0)?,
        capacity: capacity.map(|text| number("capacity in Gbit/s", text, CAPACITIES)).transpose()?,
    })
}

fn number(what: &str, text: &str, range: RangeInclusive<f64>) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!(
            "the {what} {:?} is not a number from {} to {}",
            escape(text),
            range.start(),
            range.end()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_of_mirrors_is_read_line_by_line() {
        let text = "# comment\n\nDE Frankfurt\t50.11\t8.68\t40\nBR São Paulo\t-23.55\t-46.63\n";
        let sites = parse(text).expect("a table");
        assert_eq!(sites.len(), 2);
        assert_eq!((sites[0].country.as_str(), sites[0].capacity), ("DE", Some(40.0)));
        assert_eq!((sites[1].name.as_str(), sites[1].latitude), ("m1.example", -23.55));
        assert_eq!(sites[1].capacity, None);
    }

    #[test]
    fn wrong_line_of_a_table_is_named_with_its_fault() {
        let cases = [
            ("DE Frankfurt", "1 columns"),
            ("DE Frankfurt\t50\t8\t1\t1", "5 columns"),
            ("Frankfurt\t50\t8", "does not begin with the two capital letters"),
            ("\t50\t8", "does not begin with the two capital letters"),
            ("DE\t91\t8", "the latitude \"91\" is not a number from -90 to 90"),
            ("DE\tx\t8", "the latitude \"x\""),
            ("DE\t50\tNaN", "the longitude \"NaN\" is not a number from -180 to 180"),
            ("DE\t50\t8\t0", "the capacity in Gbit/s \"0\" is not a number from 0.001 to 1000000"),
            ("DE\t50\t8\tinf", "the capacity"),
        ];
        for (line, fault) in cases {
            let (number, what) = parse(&format!("# a\n\n{line}\n")).expect_err(line);
            assert_eq!(number, 3, "{line:?}");
            assert!(what.starts_with(fault) || what.contains(fault), "{what}");
        }
    }
}
