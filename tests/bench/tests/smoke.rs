//! The rows that need no containers can be taken, and say something.

#![expect(clippy::tests_outside_test_module, reason = "all of this program is tests")]

use bench::{Effort, Fault, GROUPS};

#[tokio::test]
async fn every_row_without_containers_has_a_value_for_each_sample() -> Result<(), Fault> {
    for group in GROUPS.into_iter().filter(|group| !group.needs_docker()) {
        let rows = group.take(Effort { samples: 2, part: 20 }).await?;
        let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
        assert_eq!(names, group.names());
        for row in rows {
            assert_eq!(row.samples.len(), 2, "{}", row.name);
            let figure = row.figure();
            assert!(figure.value > 0.0 && figure.p95 > 0.0, "{figure:?}");
            assert!(row.floor.is_empty() || figure.ratio.is_some(), "{figure:?}");
        }
    }
    Ok(())
}
