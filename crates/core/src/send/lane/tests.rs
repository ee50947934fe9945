//! A lane by itself, and in [`world`]: two processes, Kafka and the vendor in memory, and a schedule of what goes wrong.

mod rows;
mod world;

use proptest::collection::vec;
use proptest::prelude::*;

use self::world::{Case, Kind, Step, run};

const KINDS: [Kind; 8] = [
    Kind::Good,
    Kind::Good,
    Kind::Good,
    Kind::Good,
    Kind::Good,
    Kind::Good,
    Kind::Refused,
    Kind::Failing,
];

fn record() -> impl Strategy<Value = (u8, Kind)> {
    (0..5_u8, 0..KINDS.len()).prop_map(|(key, kind)| (key, KINDS[kind]))
}

fn case() -> impl Strategy<Value = Case> {
    (
        any::<bool>(),
        any::<bool>(),
        prop_oneof![Just(4_u16), Just(8), Just(100)],
        vec(vec(record(), 0..16), 2..=2),
        vec(any::<(u8, u8, u8)>(), 0..160),
    )
        .prop_map(|(repeats, names_items, span, records, steps)| Case {
            repeats,
            names_items,
            span,
            records,
            steps: steps.into_iter().map(Step::of).collect(),
        })
}

proptest! {
    // A failure becomes a row, not a file of seeds. `just model` runs many more.
    #![proptest_config(ProptestConfig { failure_persistence: None, max_shrink_iters: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn whatever_happens_nothing_is_lost_skipped_or_overtaken(case in case()) {
        run(&case).map_err(TestCaseError::fail)?;
    }
}
