//! Random worlds and random events: whatever happens, the schedule keeps its promises. The fuzz
//! target `schedule` looks for what these miss.

use super::*;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn promises_hold_in_any_world(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        any_world(&bytes);
    }

    /// Events come in an order and at times that no network would produce.
    #[test]
    fn no_sequence_of_events_breaks_the_promises(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        any_events(&bytes);
    }
}
