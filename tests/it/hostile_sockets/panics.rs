//! An event whose handling panics takes down itself: not its socket, not what follows, not the service. On a protocol made
//! for the purpose.

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use switchboard::auth::Auth;
use switchboard::clock::Clock;
use switchboard::config::Config;
use switchboard::realtime::{self, Entrance, Handling, Incoming, Kill, Protocol, Session, Transport};
use tokio::net::TcpListener;

use crate::support::{Socket, TestApp};

static CLUMSY: Protocol = Protocol {
    name: "clumsy",
    transport: Transport::SocketIo("/"),
    listens: &["fall", "fall_later", "stand"],
    joins: &[],
    emits: &["standing"],
    welcome: None,
    on_event,
    on_refused: |_, _, _| {},
    beyond_rooms: |_| false,
    outgoing: |_, _| Vec::new(),
};

static PROTOCOLS: [&Protocol; 1] = [&CLUMSY];

#[expect(clippy::needless_pass_by_value, reason = "the signature of all protocols")]
fn on_event(session: &Session, incoming: Incoming) -> Handling {
    match incoming.event {
        "fall" => panic!("on purpose"),
        "fall_later" => Handling::InTurn(
            None,
            Box::pin(async {
                tokio::task::yield_now().await;
                panic!("on purpose")
            }),
        ),
        _ => {
            let session = session.clone();
            Handling::InTurn(None, Box::pin(async move { session.emit("standing", &json!({})) }))
        }
    }
}

async fn enter(State(entrance): State<Entrance>, request: Request, next: Next) -> Response {
    match entrance.socketio(request, Kill::new(|| {})).await {
        Ok(request) => next.run(request).await,
        Err(error) => error.to_string().into_response(),
    }
}

#[tokio::test]
async fn an_event_that_panics_takes_down_itself_alone() {
    let app = TestApp::start().await;
    let settings = app.dev(Config { database_url: Some("sqlite::memory:".to_owned()), ..Config::default() });
    let core = switchboard::server::core(&settings, Clock::system()).await.unwrap();
    let auth = Auth::new(settings.auth, Clock::system(), core.sign_outs()).unwrap();
    let (layer, entrance, closing, _) = realtime::layer(core, auth, Clock::system(), &PROTOCOLS);
    let router: Router = Router::new().layer(layer).layer(from_fn_with_state(entrance, enter));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = tokio::spawn(async move { axum::serve(listener, router).await });

    let mut clumsy = Socket::connect(address, "clumsy", None).await;
    let mut other = Socket::connect(address, "other", None).await;
    for event in ["fall", "fall_later", "fall", "fall_later", "stand"] {
        clumsy.emit(event, &json!({})).await;
    }
    clumsy.hears("standing").await;
    other.emit("stand", &json!({})).await;
    other.hears("standing").await;
    closing.close().await;
    served.abort();
    app.finish([]).await;
}
