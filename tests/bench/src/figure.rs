//! From samples to what is printed.

use std::fmt::Write as _;

use serde::Serialize;

/// Values of one kind, in the order they were taken.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Samples(Vec<f64>);

impl Samples {
    /// Adds one.
    pub fn push(&mut self, value: f64) {
        self.0.push(value);
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value that so many of a hundred do not exceed; 0 when there is none.
    pub fn percentile(&self, of_hundred: usize) -> f64 {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (sorted.len() * of_hundred).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or_default()
    }

    /// The value in the middle.
    pub fn median(&self) -> f64 {
        self.percentile(50)
    }
}

/// What a value is, and which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Milliseconds; less is better.
    Milliseconds,
    /// Microseconds; less is better.
    Microseconds,
    /// Mebibytes; less is better.
    Mebibytes,
    /// In a second; more is better.
    PerSecond,
}

impl Unit {
    fn word(self) -> &'static str {
        match self {
            Self::Milliseconds => "ms",
            Self::Microseconds => "us",
            Self::Mebibytes => "MiB",
            Self::PerSecond => "1/s",
        }
    }

    /// Which of a hundred sorted values has 95 that are as good or better.
    fn bad_end(self) -> usize {
        match self {
            Self::Milliseconds | Self::Microseconds | Self::Mebibytes => 95,
            Self::PerSecond => 5,
        }
    }
}

/// What was taken of one thing.
#[derive(Debug, Clone)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// What its values are.
    pub unit: Unit,
    /// Its values.
    pub samples: Samples,
    /// Those of its floor, if it has one.
    pub floor: Samples,
}

impl Row {
    /// Without values.
    pub fn new(name: &'static str, unit: Unit) -> Self {
        Self { name, unit, samples: Samples::default(), floor: Samples::default() }
    }

    /// What it comes to.
    pub fn figure(&self) -> Figure {
        let value = self.samples.median();
        let floor = (!self.floor.is_empty()).then(|| self.floor.median());
        Figure {
            name: self.name,
            value: rounded(value),
            p95: rounded(self.samples.percentile(self.unit.bad_end())),
            unit: self.unit.word(),
            floor: floor.map(rounded),
            ratio: floor.filter(|floor| *floor > 0.0).map(|floor| rounded(value / floor)),
        }
    }
}

/// One line of the result.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    /// What was measured.
    pub name: &'static str,
    /// The median.
    pub value: f64,
    /// 95 of a hundred are as good or better.
    pub p95: f64,
    /// Of value, p95 and floor.
    pub unit: &'static str,
    /// The floor's median.
    pub floor: Option<f64>,
    /// Value by floor.
    pub ratio: Option<f64>,
}

/// Three decimals: more is chance.
fn rounded(value: f64) -> f64 {
    (value * 1e3).round() / 1e3
}

/// For people: a line for each, aligned.
pub fn table(figures: &[Figure]) -> String {
    let mut text = format!(
        "{:24} {:>11} {:>11} {:4} {:>11} {:>7}\n",
        "name", "median", "p95", "", "floor", "ratio"
    );
    let or_dash = |value: Option<f64>, decimals: usize| {
        value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
    };
    for figure in figures {
        let Figure { name, value, p95, unit, floor, ratio } = figure;
        let (floor, ratio) = (or_dash(*floor, 2), or_dash(*ratio, 2));
        let written =
            writeln!(text, "{name:24} {value:>11.2} {p95:>11.2} {unit:4} {floor:>11} {ratio:>7}");
        debug_assert!(written.is_ok(), "a text takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(values: impl IntoIterator<Item = f64>) -> Samples {
        Samples(values.into_iter().collect())
    }

    #[test]
    fn median_and_p95_are_values_that_were_taken() {
        let hundred = samples((1..=100).rev().map(f64::from));
        assert_eq!((hundred.median(), hundred.percentile(95)), (50.0, 95.0));
        assert_eq!(samples([3.0]).percentile(95), 3.0);
        assert_eq!(samples([2.0, 1.0]).median(), 1.0);
        assert_eq!(samples([]).median(), 0.0);
    }

    #[test]
    fn the_bad_end_of_a_rate_is_the_low_one() {
        let mut row = Row::new("x", Unit::PerSecond);
        row.samples = samples((1..=100).map(f64::from));
        row.floor = samples([25.0]);
        let Figure { value, p95, floor, ratio, .. } = row.figure();
        assert_eq!((value, p95, floor, ratio), (50.0, 5.0, Some(25.0), Some(2.0)));
    }

    #[test]
    fn the_table_is_aligned_and_shows_what_has_no_floor() {
        let mut row = Row::new("sidecar_pss", Unit::Mebibytes);
        row.samples.push(3.25);
        let text = table(&[row.figure()]);
        let widths: Vec<usize> = text.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0]), "{text}");
        assert!(text.contains("3.25") && text.contains('-'));
    }
}
