//! How many requests there were, by what was asked and how it was answered.
//!
//! Routes are told by their templates, never by the paths that callers sent, so that there are as many
//! counters as endpoints; and all of them are there before anybody has asked. A request costs a look into a
//! table and an atomic.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axum::http::{Method, StatusCode};
use rustc_hash::FxHashMap;

use super::problem::Code;
use crate::metrics::{Families, Source};

/// Every method of every endpoint.
const ROUTES: [(Method, &str); 27] = [
    (Method::POST, "/v1/messages"),
    (Method::GET, "/v1/messages"),
    (Method::POST, "/v1/messages/batch"),
    (Method::POST, "/v1/messages/lookup"),
    (Method::GET, "/v1/messages/{id}"),
    (Method::GET, "/v1/messages/{id}/payload"),
    (Method::POST, "/v1/messages/{id}/cancel"),
    (Method::POST, "/v1/messages/{id}/replay"),
    (Method::POST, "/v1/replays"),
    (Method::GET, "/v1/replays/{id}"),
    (Method::GET, "/v1/groups/{group}"),
    (Method::POST, "/v1/exchanges/{exchange}/messages"),
    (Method::GET, "/v1/events"),
    (Method::POST, "/v1/webhooks"),
    (Method::GET, "/v1/webhooks"),
    (Method::GET, "/v1/webhooks/{id}"),
    (Method::PATCH, "/v1/webhooks/{id}"),
    (Method::DELETE, "/v1/webhooks/{id}"),
    (Method::POST, "/v1/webhooks/{id}/rotate-secret"),
    (Method::GET, "/v1/webhooks/{id}/deliveries"),
    (
        Method::POST,
        "/v1/webhooks/{id}/deliveries/{delivery}/resend",
    ),
    (Method::GET, "/v1/stats"),
    (Method::GET, "/healthz"),
    (Method::GET, "/readyz"),
    (Method::GET, "/metrics"),
    (Method::GET, "/openapi.yaml"),
    // HEAD is answered where GET is; and whatever nobody knows.
    (Method::HEAD, "other"),
];

/// Classes of status codes, the first of which is 2xx.
const CLASSES: [&str; 4] = ["2xx", "3xx", "4xx", "5xx"];

/// See the module.
pub(super) struct RequestCounts {
    places: FxHashMap<&'static str, Vec<(Method, usize)>>,
    answered: [[AtomicU64; CLASSES.len()]; ROUTES.len()],
    refused: [AtomicU64; Code::ALL.len()],
    in_flight: AtomicU64,
}

impl Default for RequestCounts {
    fn default() -> Self {
        let mut places: FxHashMap<_, Vec<_>> = FxHashMap::default();
        for (place, (method, route)) in ROUTES.into_iter().enumerate() {
            places.entry(route).or_default().push((method, place));
        }
        Self {
            places,
            answered: Default::default(),
            refused: std::array::from_fn(|_| AtomicU64::new(0)),
            in_flight: AtomicU64::new(0),
        }
    }
}

/// A request that is being answered; dropping it ends that.
pub(super) struct InFlight<'a>(&'a RequestCounts);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

impl RequestCounts {
    /// A request is being answered from now on.
    pub(super) fn begin(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Relaxed);
        InFlight(self)
    }

    /// A request to this route, if it has one, was answered.
    pub(super) fn answered(
        &self,
        method: &Method,
        route: Option<&str>,
        status: StatusCode,
        code: Option<Code>,
    ) {
        let same = route.and_then(|route| self.places.get(route));
        let place = same.and_then(|same| same.iter().find(|(known, _)| known == method));
        let place = place.map_or(ROUTES.len() - 1, |(_, place)| *place);
        let class = usize::from(status.as_u16() / 100).clamp(2, 5) - 2;
        self.answered[place][class].fetch_add(1, Relaxed);
        if let Some(code) = code {
            let at = Code::ALL.iter().position(|known| *known == code);
            if let Some(counter) = at.and_then(|at| self.refused.get(at)) {
                counter.fetch_add(1, Relaxed);
            }
        }
    }
}

impl Source for RequestCounts {
    fn tell(&self, told: &mut Families) {
        let routes = ROUTES.iter().zip(&self.answered);
        let answered = routes.flat_map(|((method, route), counters)| {
            let method = if *route == "other" {
                "other"
            } else {
                method.as_str()
            };
            CLASSES.iter().zip(counters).map(move |(class, counter)| {
                let labels = [("method", method), ("route", *route), ("status", *class)];
                (labels, counter.load(Relaxed))
            })
        });
        told.counters(
            "amqpost_http_requests_total",
            "Requests that were answered, by route and class of status.",
            answered,
        );
        told.counters(
            "amqpost_http_problems_total",
            "Requests that were refused, by the code of the problem; refused items of batches apart.",
            (Code::ALL.iter().zip(&self.refused))
                .map(|(code, counter)| ([("code", code.as_str())], counter.load(Relaxed))),
        );
        told.gauge(
            "amqpost_http_requests_in_flight",
            "Requests whose answer has not begun, those that wait for a final status included.",
            self.in_flight.load(Relaxed),
        );
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_endpoint_of_the_description_has_its_counters() {
        let yaml = super::super::openapi_yaml().expect("the description");
        let mut described = BTreeSet::new();
        let mut path = "";
        for line in yaml.lines().skip_while(|line| *line != "paths:").skip(1) {
            let indent = line.len() - line.trim_start().len();
            let name = line.trim().trim_end_matches(':');
            match indent {
                // A line of a longer text may be empty.
                0 if !name.is_empty() => break,
                2 => path = name,
                4 if ["get", "post", "patch", "delete", "put"].contains(&name) => {
                    described.insert((name.to_uppercase(), path));
                }
                _ => {}
            }
        }
        let counted = ROUTES
            .iter()
            .map(|(method, route)| (method.to_string(), *route));
        let counted: BTreeSet<_> = counted.filter(|(_, route)| *route != "other").collect();
        assert_eq!(described, counted);
    }

    #[test]
    fn what_has_no_route_of_its_own_is_counted_together() {
        let counts = RequestCounts::default();
        let ok = StatusCode::OK;
        counts.answered(&Method::GET, Some("/v1/messages/{id}"), ok, None);
        counts.answered(&Method::HEAD, Some("/v1/messages/{id}"), ok, None);
        let missing = StatusCode::NOT_FOUND;
        counts.answered(&Method::GET, None, missing, Some(Code::NotFound));
        let text = crate::metrics::Metrics::default().text(&counts);
        for line in [
            "amqpost_http_requests_total{method=\"GET\",route=\"/v1/messages/{id}\",status=\"2xx\"} 1",
            "amqpost_http_requests_total{method=\"other\",route=\"other\",status=\"2xx\"} 1",
            "amqpost_http_requests_total{method=\"other\",route=\"other\",status=\"4xx\"} 1",
            "amqpost_http_problems_total{code=\"not_found\"} 1",
            "amqpost_http_problems_total{code=\"store_full\"} 0",
        ] {
            assert!(text.lines().any(|told| told == line), "{line} in {text}");
        }
    }
}
