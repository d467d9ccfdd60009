//! Long lists come in pages.

use std::sync::Arc;

use axum::{
    extract::{FromRequestParts, OriginalUri, Query},
    http::request::Parts,
};
use serde::Deserialize;
use serde_json::Value;

use crate::forge_double::{
    answer::{Answer, Refusal},
    forge::Forge,
};

/// Gitea's `DEFAULT_PAGING_NUM`.
const PAGE_LIMIT: usize = 30;
/// Gitea's `MAX_RESPONSE_ITEMS`.
const PAGE_LIMIT_MAX: usize = 50;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct PageParams {
    page: usize,
    limit: usize,
}

/// Which part of a list is wanted.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    page: usize,
    limit: usize,
    path: String,
    /// The query without `page` and `limit`, for links.
    other: String,
}

impl FromRequestParts<Arc<Forge>> for Page {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, forge: &Arc<Forge>) -> Result<Self, Refusal> {
        let params = Query::<PageParams>::from_request_parts(parts, forge).await;
        let Query(params) = params.unwrap_or_default();
        let limit = if params.limit == 0 { PAGE_LIMIT } else { params.limit };
        let uri = parts.extensions.get::<OriginalUri>();
        let uri = uri.map_or(&parts.uri, |original| &original.0);
        let is_other = |pair: &&str| !pair.starts_with("page=") && !pair.starts_with("limit=");
        let query = uri.query().unwrap_or_default();
        Ok(Self {
            page: params.page.max(1),
            limit: limit.min(PAGE_LIMIT_MAX),
            path: uri.path().to_owned(),
            other: query.split('&').filter(is_other).map(|pair| format!("{pair}&")).collect(),
        })
    }
}

impl Page {
    /// The wanted part of a list.
    pub(crate) fn part(&self, items: Vec<Value>) -> Vec<Value> {
        items.into_iter().skip((self.page - 1) * self.limit).take(self.limit).collect()
    }

    /// The wanted part as an answer, with `X-Total-Count` and `Link`.
    pub(crate) fn answer(&self, base_url: &str, items: Vec<Value>) -> Answer {
        let total = items.len();
        let last = total.div_ceil(self.limit).max(1);
        let link = |page: usize, relation: &str| {
            let Self { path, other, limit, .. } = self;
            format!("<{base_url}{path}?{other}limit={limit}&page={page}>; rel=\"{relation}\"")
        };
        let mut links = Vec::new();
        if self.page < last {
            links.push(link(self.page + 1, "next"));
            links.push(link(last, "last"));
        }
        if self.page > 1 {
            links.push(link(1, "first"));
            links.push(link(self.page - 1, "prev"));
        }
        let answer = Answer::ok(self.part(items).into());
        let answer = answer.with_header("X-Total-Count", total.to_string());
        if links.is_empty() { answer } else { answer.with_header("Link", links.join(",")) }
    }
}
