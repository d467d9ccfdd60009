//! A wire in memory: clients whose requests go straight to a server, with a record of both.

use std::{fmt, sync::Mutex};

use jsonrpsee::{
    core::{
        client::{BatchResponse, ClientT, Error},
        params::BatchRequestBuilder,
        server::Methods,
        traits::ToRpcParams,
    },
    types::{Id, Request, Response, ResponseSuccess},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

/// One call as it stands on the wire.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Exchange {
    pub(crate) request: Value,
    pub(crate) response: Value,
}

impl Exchange {
    pub(crate) fn method(&self) -> &str {
        self.request["method"].as_str().unwrap()
    }

    /// Names of the parameters, sorted.
    pub(crate) fn params(&self) -> Vec<&str> {
        let params = self.request.get("params").and_then(Value::as_object);
        params.map(|map| map.keys().map(String::as_str).collect()).unwrap_or_default()
    }
}

/// A client that keeps what it said and heard.
pub(crate) struct Wire {
    server: Methods,
    heard: Mutex<Vec<Exchange>>,
}

impl Wire {
    pub(crate) fn to(server: impl Into<Methods>) -> Self {
        Self { server: server.into(), heard: Mutex::default() }
    }

    /// All calls so far, oldest first.
    pub(crate) fn exchanges(&self) -> Vec<Exchange> {
        self.heard.lock().unwrap().clone()
    }

    /// Says a request as it is; the answer as it is.
    pub(crate) async fn say(&self, request: &str) -> Result<Value, serde_json::Error> {
        let (answer, _) = self.server.raw_json_request(request, 1).await?;
        serde_json::from_str(answer.get())
    }

    /// Names of the methods that the server has, sorted.
    pub(crate) fn methods(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = self.server.method_names().collect();
        names.sort_unstable();
        names
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

impl ClientT for Wire {
    async fn notification<P: ToRpcParams + Send>(&self, _: &str, _: P) -> Result<(), Error> {
        unreachable!("no method of ours is a notification")
    }

    async fn request<R: DeserializeOwned, P: ToRpcParams + Send>(
        &self,
        method: &str,
        params: P,
    ) -> Result<R, Error> {
        let params = params.to_rpc_params()?;
        let request = Request::borrowed(method, params.as_deref(), Id::Number(1));
        let request = serde_json::to_string(&request)?;
        let response = self.say(&request).await?;
        let text = response.to_string();
        let answer: Response<'_, Value> = serde_json::from_str(&text)?;
        let answer = ResponseSuccess::try_from(answer).map_err(|bad| Error::Call(bad.into_owned()));
        let request = serde_json::from_str(&request)?;
        self.heard.lock().unwrap().push(Exchange { request, response });
        Ok(serde_json::from_value(answer?.result)?)
    }

    async fn batch_request<'a, R: DeserializeOwned + fmt::Debug + 'a>(
        &self,
        _: BatchRequestBuilder<'a>,
    ) -> Result<BatchResponse<'a, R>, Error> {
        unreachable!("no batches on our wires")
    }
}

/// Copies of a value, each with one unknown field more: one per object in it. Keys of the maps
/// named in [`FREE_MAPS`] are data, not fields.
pub(crate) fn with_a_stranger(value: &Value) -> Vec<Value> {
    match value {
        Value::Object(map) => {
            let mut extended = map.clone();
            extended.insert("stranger".to_owned(), Value::Null);
            let inner = map.iter().filter(|(key, _)| !FREE_MAPS.contains(&key.as_str()));
            let inner = inner.flat_map(|(key, field)| {
                with_a_stranger(field).into_iter().map(|changed| {
                    let mut copy = map.clone();
                    copy.insert(key.clone(), changed);
                    Value::Object(copy)
                })
            });
            std::iter::once(Value::Object(extended)).chain(inner).collect()
        }
        Value::Array(items) => (0..items.len())
            .flat_map(|at| {
                with_a_stranger(&items[at]).into_iter().map(move |changed| {
                    let mut copy = items.clone();
                    copy[at] = changed;
                    Value::Array(copy)
                })
            })
            .collect(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => Vec::new(),
    }
}

/// Fields whose keys are free.
const FREE_MAPS: &[&str] = &["env"];

/// Claims of one message type: what was written is read back the same, and unknown fields are
/// refused wherever they stand.
pub(crate) fn check_type<T: DeserializeOwned + Serialize>(literal: &Value) {
    let back: T = serde_json::from_value(literal.clone()).unwrap();
    assert_eq!(&serde_json::to_value(back).unwrap(), literal);
    for stranger in with_a_stranger(literal) {
        let error = serde_json::from_value::<T>(stranger.clone()).err();
        assert!(error.is_some_and(|e| e.to_string().contains("stranger")), "read: {stranger}");
    }
}

/// One wire: a server that compares what it gets and answers with an example, a client that calls
/// each method once, and the claims that hold for every wire.
///
/// `parsers` is for the property tests: every type that is read from this wire.
macro_rules! wire {
    ($title:literal, $server:ident, $client:ident, $methods:expr;
     $($name:ident($($param:ident: $type:ty = $given:expr),*) -> $result:ty = $answer:expr;)*) => {
        #[derive(Debug)]
        struct Scripted;

        #[jsonrpsee::core::async_trait]
        impl $server for Scripted {
            $(async fn $name(&self, $($param: $type),*) -> jsonrpsee::core::RpcResult<$result> {
                $({ let given: $type = $given; assert_eq!(json(&$param), json(&given)); })*
                Ok($answer)
            })*
        }

        fn json(value: impl serde::Serialize) -> serde_json::Value {
            serde_json::to_value(value).unwrap()
        }

        /// The wire after one call of each method.
        pub(crate) async fn played() -> $crate::wire::Wire {
            let wire = $crate::wire::Wire::to(Scripted.into_rpc());
            $(
                let answer: $result = $client::$name(&wire, $($given),*).await.unwrap();
                let given: $result = $answer;
                assert_eq!(json(answer), json(given), stringify!($name));
            )*
            wire
        }

        /// Reads text as every type that comes over this wire; for texts that no one wrote.
        pub(crate) fn parse_as_each(text: &[u8]) {
            $(
                $(drop(serde_json::from_slice::<$type>(text));)*
                drop(serde_json::from_slice::<$result>(text));
            )*
        }

        #[tokio::test]
        async fn messages_are_as_recorded() {
            let exchanges = played().await.exchanges();
            insta::with_settings!({ sort_maps => true }, {
                insta::assert_json_snapshot!($title, exchanges);
            });
        }

        #[tokio::test]
        async fn the_method_table_names_what_the_trait_has() {
            let wire = played().await;
            let mut table: Vec<&str> = $methods.iter().map(|(name, _)| *name).collect();
            for (exchange, (name, params)) in wire.exchanges().iter().zip($methods) {
                assert_eq!(exchange.method(), *name);
                let mut params = params.to_vec();
                params.sort_unstable();
                assert_eq!(exchange.params(), params, "{name}");
            }
            table.sort_unstable();
            assert_eq!(table, wire.methods());
            assert_eq!(table.len(), wire.exchanges().len());
        }

        // CASES 31
        #[tokio::test]
        async fn unknown_fields_are_refused_in_parameters() {
            let wire = played().await;
            for exchange in wire.exchanges() {
                let params = exchange.request.get("params").cloned().unwrap_or_default();
                // The first copy is extended at the top; extra parameters are refused by the
                // socket's own check against the method table, see the crate `rpc`.
                for stranger in $crate::wire::with_a_stranger(&params).into_iter().skip(1) {
                    let mut request = exchange.request.clone();
                    request["params"] = stranger;
                    let answer = wire.say(&request.to_string()).await.unwrap();
                    assert_eq!(answer["error"]["code"], -32602, "{request} got {answer}");
                }
            }
        }

        #[tokio::test]
        async fn results_read_back_and_refuse_unknown_fields() {
            let exchanges = played().await.exchanges();
            let results: [fn(&serde_json::Value); $methods.len()] =
                [$($crate::wire::check_type::<$result>),*];
            for (exchange, check) in exchanges.iter().zip(results) {
                check(&exchange.response["result"]);
            }
        }
    };
}
