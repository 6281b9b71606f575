//! All endpoints as one service, with a short way to the one that is asked most.
//!
//! On its way through the router a request is boxed and copied again and again: an eighth of what a single
//! post costs over HTTP. So posts of single messages, which their method and path tell, go straight to
//! their endpoint, through all else that every request passes.

use axum::Router;
use axum::extract::{Request, State};
use axum::http::Method;
use axum::response::{IntoResponse as _, Response};
use tower::ServiceExt as _;

use super::publish_message::{PUBLISH_MESSAGE, publish_message};
use super::state::Gateway;
use super::{front, router};

/// Everything that one listener answers.
#[derive(Clone)]
pub(super) struct Endpoints {
    router: Router,
    /// Whoever takes single messages, if this listener does.
    publishing: Option<Gateway>,
}

impl Endpoints {
    /// Those of the API.
    pub(super) fn of_api(gateway: Gateway) -> Self {
        Self {
            router: router(gateway.clone()),
            publishing: Some(gateway),
        }
    }

    /// Answers a request.
    pub(super) async fn answer(&self, request: Request) -> Response {
        let is_short = request.uri().path() == PUBLISH_MESSAGE && request.method() == Method::POST;
        match &self.publishing {
            Some(gateway) if is_short => {
                // In a box, or each layer on the way would copy the room for all of it.
                let endpoint = |request| {
                    let state = State(Gateway::clone(gateway));
                    Box::pin(async { publish_message(state, request).await.into_response() })
                };
                front::passed(gateway, Some(PUBLISH_MESSAGE), request, endpoint).await
            }
            _ => {
                let Ok(response) = self.router.clone().oneshot(request).await;
                response
            }
        }
    }
}

/// Those of a router alone.
impl From<Router> for Endpoints {
    fn from(router: Router) -> Self {
        Self {
            router,
            publishing: None,
        }
    }
}
