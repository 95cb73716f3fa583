//! The figures for programs: one JSON object in one line.
//!
//! Its keys are an interface: they keep their names, types and order.
//!
//! - `clients`: number; the clients that were simulated.
//! - `policies`: array of objects; one for each policy:
//!   - `policy`: string; its name.
//!   - `places`: array of objects; one for each place. Of several worlds, each number is the mean
//!     of those of the worlds:
//!     - `place`: string; its name.
//!     - `shares`: array of numbers; the share of the clients that each mirror serves, in the order
//!       of the mirrors. Their sum is 1.
//!     - `busiest_share`: number; the highest of the shares.
//!     - `worst_load`: number; the highest ratio of a mirror's load to its capacity, if all clients
//!       stood in this place, at the worst time of the day.
//!     - `half_load_mirrors`: number; how many mirrors, the busiest first, serve half of the
//!       clients.
//!     - `gini`: number; the Gini coefficient of the shares of all mirrors: 0 if they are equal.
//!     - `rtt_ms`: object; `p50` and `p95`, the median and the 95th percentile of the true latency
//!       between clients and the mirrors that serve them, in milliseconds.
//!     - `overloaded`: number; how many mirrors have more load than capacity.
//!     - `hit_if_busiest_dies`: number; the share of the clients whose mirror is gone if the
//!       busiest one dies. As each client stays with one mirror, that is `busiest_share`.

use super::Results;
use super::figures::Figures;
use serde::ser::{Serialize, SerializeStruct, Serializer};
use std::io::{self, Write};

pub(crate) fn write(out: &mut impl Write, results: &Results) -> io::Result<()> {
    serde_json::to_writer(&mut *out, &Object(results))?;
    writeln!(out)
}

struct Object<'a>(&'a Results);

impl Serialize for Object<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Fleet", 2)?;
        object.serialize_field("clients", &self.0.clients)?;
        let policies: Vec<_> = (0..self.0.policies.len()).map(|number| Policy(self.0, number)).collect();
        object.serialize_field("policies", &policies)?;
        object.end()
    }
}

struct Policy<'a>(&'a Results, usize);

impl Serialize for Policy<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Policy(results, number) = *self;
        let mut object = serializer.serialize_struct("Policy", 2)?;
        object.serialize_field("policy", &results.policies[number])?;
        let places = results.places.iter().zip(&results.figures);
        let places: Vec<_> = places.map(|(name, figures)| Place(name, &figures[number])).collect();
        object.serialize_field("places", &places)?;
        object.end()
    }
}

struct Place<'a>(&'a str, &'a Figures);

impl Serialize for Place<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Place(name, figures) = *self;
        let mut object = serializer.serialize_struct("Place", 9)?;
        object.serialize_field("place", name)?;
        object.serialize_field("shares", &figures.shares)?;
        object.serialize_field("busiest_share", &figures.busiest_share)?;
        object.serialize_field("worst_load", &figures.worst_load)?;
        object.serialize_field("half_load_mirrors", &figures.half_load_mirrors)?;
        object.serialize_field("gini", &figures.gini)?;
        object.serialize_field("rtt_ms", &Latency { p50: figures.p50, p95: figures.p95 })?;
        object.serialize_field("overloaded", &figures.overloaded)?;
        object.serialize_field("hit_if_busiest_dies", &figures.busiest_share)?;
        object.end()
    }
}

struct Latency {
    p50: f64,
    p95: f64,
}

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Latency", 2)?;
        object.serialize_field("p50", &self.p50)?;
        object.serialize_field("p95", &self.p95)?;
        object.end()
    }
}
