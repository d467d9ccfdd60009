//! `operator.sock`.

use protocol::{
    ids::Slug,
    operator::{Logs, METHODS, OperatorRpcClient, OperatorRpcServer, StartRequest, Status},
};

use crate::examples as ex;

wire! { "operator", OperatorRpcServer, OperatorRpcClient, METHODS;
    status() -> Status = ex::status();
    start(request: StartRequest = ex::start_request()) -> Slug = ex::id("implementer-k3v9q");
    resume(slug: Slug = ex::id("implementer-k3v9q"), prompt: String = "Once more.".to_owned())
        -> () = ();
    freeze(slug: Slug = ex::id("implementer-k3v9q"), cold: bool = true) -> () = ();
    destroy(slug: Slug = ex::id("implementer-k3v9q")) -> () = ();
    logs(slug: Slug = ex::id("implementer-k3v9q"), after: u64 = 7, output: bool = true)
        -> Logs = ex::logs();
}
