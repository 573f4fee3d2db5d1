//! The answers of the API.

use std::convert::Infallible;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::Stream;
use tokio::sync::{broadcast, mpsc, oneshot};

use super::metrics;
use crate::node::board::Board;
use crate::node::control::{Control, Mode};
use crate::node::event::Happening;
use crate::node::parts::Request;
use crate::node::status::{State as NodeState, Status};

/// Where answers come from.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) node: mpsc::Sender<Request>,
    pub(super) board: Board,
}

/// The node does not answer any more.
pub(super) struct Gone;

impl IntoResponse for Gone {
    fn into_response(self) -> Response {
        (StatusCode::SERVICE_UNAVAILABLE, "the node is ending\n").into_response()
    }
}

impl Source {
    async fn ask<T>(&self, request: impl FnOnce(oneshot::Sender<T>) -> Request) -> Result<T, Gone> {
        let (reply, answer) = oneshot::channel();
        self.node.send(request(reply)).await.map_err(|_| Gone)?;
        answer.await.map_err(|_| Gone)
    }

    async fn status(&self) -> Result<Box<Status>, Gone> {
        self.ask(Request::Status).await
    }
}

pub(super) async fn health() -> &'static str {
    "ok\n"
}

pub(super) async fn ready(State(source): State<Source>) -> Result<Response, Gone> {
    let status = source.status().await?;
    let code = match status.condition.state {
        NodeState::Draining => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::OK,
    };
    let text = format!("{}\n", status.condition.state.name());
    Ok((code, text).into_response())
}

pub(super) async fn metrics(State(source): State<Source>) -> Result<Response, Gone> {
    let text = metrics::render(&*source.status().await?);
    let kind = [(
        header::CONTENT_TYPE,
        "text/plain; version=0.0.4; charset=utf-8",
    )];
    Ok((kind, text).into_response())
}

pub(super) async fn status(State(source): State<Source>) -> Result<Json<Box<Status>>, Gone> {
    Ok(Json(source.status().await?))
}

pub(super) async fn control(
    State(source): State<Source>,
    Json(wish): Json<Control>,
) -> Result<Json<Mode>, Gone> {
    let mode = source.ask(|reply| Request::Control(wish, reply)).await?;
    Ok(Json(mode))
}

pub(super) async fn round(
    State(source): State<Source>,
    Path(round): Path<u64>,
) -> Result<Response, Gone> {
    Ok(
        match source.ask(|reply| Request::Record(round, reply)).await? {
            Some(record) => record.into_response(),
            None => {
                let text = format!("round {round} is not decided here, or too old to be kept\n");
                (StatusCode::NOT_FOUND, text).into_response()
            }
        },
    )
}

pub(super) async fn events(
    State(source): State<Source>,
) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let listener = source.board.listen();
    let events = futures::stream::unfold(listener, |mut listener| async move {
        let event = match listener.recv().await {
            Ok(happening) => told(&happening),
            // A comment, which clients may show: some events are missing here.
            Err(broadcast::error::RecvError::Lagged(lost)) => {
                Event::default().comment(format!("{lost} events were lost"))
            }
            Err(broadcast::error::RecvError::Closed) => return None,
        };
        Some((Ok(event), listener))
    });
    Sse::new(events).keep_alive(KeepAlive::default())
}

fn told(happening: &Happening) -> Event {
    match Event::default().json_data(happening) {
        Ok(event) => event,
        Err(error) => Event::default().comment(error.to_string()),
    }
}
