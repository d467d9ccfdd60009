//! `operator.sock`.

use jiff::Timestamp;
use protocol::{
    ids::Slug,
    operator::{
        BottlePage, BottleStatus, Explanation, Logs, METHODS, OperatorRpcClient, OperatorRpcServer,
        Output, Pruned, StartRequest, Status, Subject,
    },
};

use crate::examples as ex;

wire! { "operator", OperatorRpcServer, OperatorRpcClient, METHODS;
    status() -> Status = ex::status();
    bottles(before: u32 = 17) -> BottlePage = ex::bottle_page();
    find(subject: Subject = ex::subject()) -> BottleStatus = ex::bottle_status();
    explain(subject: Subject = ex::subject()) -> Explanation = ex::explanation();
    start(request: StartRequest = ex::start_request()) -> Slug = ex::id("implementer-k3v9q");
    resume(slug: Slug = ex::id("implementer-k3v9q"), prompt: String = "Once more.".to_owned())
        -> () = ();
    freeze(slug: Slug = ex::id("implementer-k3v9q"), cold: bool = true) -> () = ();
    destroy(slug: Slug = ex::id("implementer-k3v9q")) -> () = ();
    logs(slug: Slug = ex::id("implementer-k3v9q"), after: u64 = 7, output: bool = true)
        -> Logs = ex::logs();
    output(slug: Slug = ex::id("implementer-k3v9q"), after: Option<Timestamp> = Some(ex::at(40)))
        -> Output = ex::output();
    prune(older_than_s: u64 = 86_400, dry_run: bool = true) -> Pruned = ex::pruned();
}

// CASES 226
#[test]
fn what_an_operator_means_is_read_strictly() {
    let read = |text: &str| text.parse::<Subject>();
    for (text, meant) in [
        ("7", "#7"),
        ("#7", "#7"),
        ("team/project#7", "team/project#7"),
        ("implementer-k3v9q", "implementer-k3v9q"),
        (
            "https://git.example.org/team/project/issues/7",
            "https://git.example.org/team/project/issues/7",
        ),
    ] {
        assert_eq!(read(text).unwrap().to_string(), meant);
    }
    for bad in [
        "",
        "#",
        "##7",
        "7#",
        "0",
        "#0",
        "#-7",
        "#+7",
        "7 ",
        " 7",
        "#7 ",
        "team/project#7;rm",
        "team/project#",
        "project#7",
        "team/pro ject#7",
        "../..#7",
        "team/project/#7",
        "99999999999999999999",
        "file:///etc/passwd",
        "javascript://x",
        "http://",
        "--all",
        "implementer",
        "IMPLEMENTER-k3v9q",
        "implementer-k3v9q\n",
        "#7\0",
    ] {
        assert!(read(bad).is_err(), "{bad:?}");
    }
}
