//! The table of cases is whole and fresh, and its tool sees what is wrong.

#[cfg(test)]
mod tests {
    use std::path::Path;

    use e2e::cases::{PAGE, Table, book::Book, claims};

    const BOOK: &str = "\
[[section]]
name = \"First\"
first = 1
last = 3
complete = true

[[section]]
name = \"Second\"
first = 4
last = 5
complete = false

[title]
1 = \"one\"
2 = \"two\"
3 = \"three\"
4 = \"four\"
5 = \"five\"

[later]
\"3-4\" = \"the gate\"

[left_out]
2 = \"nobody wants it\"

[partly]
";

    /// What is wrong with a source file, with this catalogue.
    fn mistakes(source: &str) -> Vec<String> {
        let found = claims::scan("x.rs", source);
        let table = Table::new(Book::parse(BOOK).unwrap(), found.claims, found.mistakes);
        table.mistakes().iter().map(ToString::to_string).collect()
    }

    /// The cases and tests that a source file claims.
    fn claimed(source: &str) -> Vec<(u16, String)> {
        let found = claims::scan("x.rs", source);
        assert_eq!(found.mistakes, [], "{source}");
        found.claims.into_iter().map(|claim| (claim.case, claim.test)).collect()
    }

    #[test]
    fn the_page_is_fresh_and_every_case_has_a_test_or_a_reason() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let table = Table::read(&root).unwrap();
        let mistakes: Vec<String> = table.mistakes().iter().map(ToString::to_string).collect();
        assert!(mistakes.is_empty(), "{}", mistakes.join("\n"));
        let page = std::fs::read_to_string(root.join(PAGE)).unwrap_or_default();
        assert!(page == table.page(), "{PAGE} is stale: run `cargo run -p e2e --bin cases`");
    }

    #[test]
    fn a_comment_counts_for_the_test_below_or_around_it() {
        let cases = [
            ("// CASES 1\n#[test]\nfn a() {}\n", vec![(1, "a")]),
            (
                "// CASES 1: why\n// and more\n#[tokio::test(flavor = \"x\")]\nasync fn a() {\n}\n",
                vec![(1, "a")],
            ),
            (
                "/// Says so (CASES 1, 3-4).\n#[test]\nfn a() {}\n",
                vec![(1, "a"), (3, "a"), (4, "a")],
            ),
            ("#[test]\n// CASES 2\nfn a() {}\n", vec![(2, "a")]),
            (
                "#[tokio::test(\n    flavor = \"x\"\n)]\n// CASES 2\nasync fn a() {}\n",
                vec![(2, "a")],
            ),
            (
                "    #[test]\n    fn a() {\n        // CASES 5, by table\n        x();\n    }\n",
                vec![(5, "a")],
            ),
            ("#[test]\nfn a() {\n    let x = {\n    };\n    // CASES 5\n}\n", vec![(5, "a")]),
            // References for readers.
            ("/// Bounded (CASES 1).\nfn helper() {}\n#[test]\nfn a() {}\n", vec![]),
            ("//! All of it (CASES 4.8, TH21).\n\n#[test]\nfn a() {}\n", vec![]),
            ("// CASES I3\n#[test]\nfn a() {}\n", vec![]),
            ("#[test]\nfn a() {\n}\n\nconst X: u8 = 1; // CASES 5\n", vec![]),
        ];
        for (source, expected) in cases {
            let expected = expected.into_iter().map(|(case, test)| (case, test.to_owned()));
            assert_eq!(claimed(source), expected.collect::<Vec<_>>(), "{source}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place() {
        let whole = "// CASES 1\n#[test]\nfn a() {}\n";
        assert_eq!(mistakes(whole), Vec::<String>::new());
        let cases = [
            ("// CASES 1\nfn helper() {}\n", "x.rs:1: no test function follows"),
            ("// CASES 1\n", "x.rs:1: no test function follows"),
            ("\n// CASES 1,\n#[test]\nfn a() {}\n", "x.rs:2: the list of cases ends with a comma"),
            ("// CASES 1–3\n#[test]\nfn a() {}\n", "x.rs:1: numbers of cases stand as 12, 14-16"),
            (
                "// CASES 1 and 3\n#[test]\nfn a() {}\n",
                "x.rs:1: numbers of cases stand as 12, 14-16",
            ),
            ("// CASES 3-1\n#[test]\nfn a() {}\n", "x.rs:1: 3-1 is no range of cases"),
            ("// CASES 6\n#[test]\nfn a() {}\n", "x.rs:1: there is no case 6"),
            (
                "// CASES 2\n#[test]\nfn a() {}\n",
                "tests/cases.toml:15: case 2 has a test, and a reason for having none",
            ),
            ("", "tests/cases.toml:14: case 1 has neither a test nor a reason"),
            // A later part may be begun.
            ("// CASES 1, 4\n#[test]\nfn a() {}\n", ""),
        ];
        for (source, expected) in cases {
            let told = mistakes(source);
            let is_told = told.iter().any(|mistake| mistake == expected);
            assert!(is_told || (expected.is_empty() && told.is_empty()), "{source}: {told:?}");
        }
    }

    #[test]
    fn what_is_partly_tested_has_a_test_and_says_what_is_missing() {
        let book = BOOK.replace("[partly]", "[partly]\n1 = \"the rest\"");
        let table = |source: &str| {
            let found = claims::scan("x.rs", source);
            Table::new(Book::parse(&book).unwrap(), found.claims, found.mistakes)
        };
        let tested = table("// CASES 1\n#[test]\nfn a() {}\n");
        assert_eq!(tested.mistakes(), []);
        assert!(
            tested.page().contains("| 1 | one | [x.rs](../x.rs): `a`<br>*not yet: the rest* |")
        );
        let told: Vec<String> = table("").mistakes().iter().map(ToString::to_string).collect();
        assert_eq!(told, ["tests/cases.toml:14: case 1 has no test, and is called partly tested"]);
    }

    #[test]
    fn a_catalogue_that_contradicts_itself_is_refused() {
        let broken = [
            ("3 = \"three\"\n", ""),
            ("3 = \"three\"\n", "3 = \"three\"\n6 = \"six\"\n"),
            ("\"3-4\"", "\"3-6\""),
            ("\"3-4\"", "\"2-4\""),
            ("\"3-4\"", "\"gate\""),
            ("complete = true", "complete = true\ncolour = \"red\""),
            ("first = 4", "first = 3"),
        ];
        for (from, to) in broken {
            assert!(BOOK.contains(from));
            assert!(Book::parse(&BOOK.replace(from, to)).is_err(), "{from} -> {to}");
        }
    }

    #[test]
    fn the_page_shows_tests_and_reasons() {
        let found = claims::scan("a/b.rs", "// CASES 1\n#[test]\nfn holds() {}\n");
        let page = Table::new(Book::parse(BOOK).unwrap(), found.claims, found.mistakes).page();
        for line in [
            "Of 5 cases, 1 have a test, 2 come with a later part, 1 are left out.",
            "| 1 | one | [a/b.rs](../a/b.rs): `holds` |",
            "| 2 | two | *left out: nobody wants it* |",
            "| 3 | three | *later: the gate* |",
        ] {
            assert!(page.lines().any(|shown| shown == line), "{line}\n{page}");
        }
    }
}
