//! How much memory a server has, from its metrics.

use std::pin::Pin;

use hyper::body::{Body, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};

use super::failure::{Exit, Failure};
use crate::client::Client;

const NAME: &str = "process_resident_memory_bytes ";
/// Metrics are some hundred kilobytes at most.
const MOST_BYTES: usize = 16 << 20;

/// The memory of the server of the first endpoint, in bytes.
pub(super) async fn memory(client: &Client) -> Result<u64, Failure> {
    let endpoint = client.endpoints().first().map_or("", |endpoint| endpoint.text.as_str());
    let fault = |why: String| {
        let text = format!("cannot read the memory of {endpoint} from its /metrics: {why}");
        Failure::new(Exit::Error, text)
    };
    let text = fetch(client).await.map_err(fault)?;
    let value = text.lines().find_map(|line| line.strip_prefix(NAME));
    let value = value.and_then(|value| value.trim().parse::<f64>().ok());
    value.map(|bytes| bytes as u64).ok_or_else(|| fault(format!("there is no {}", NAME.trim())))
}

async fn fetch(client: &Client) -> Result<String, String> {
    let endpoint = client.endpoints().first().ok_or("there is no endpoint")?;
    let (tls, authority) = (endpoint.url.scheme.is_tls(), endpoint.url.authority.as_str());
    let stream = TokioIo::new(client.connection().await?);
    let scheme = if tls { "https" } else { "http" };
    let uri = if tls { format!("{scheme}://{authority}/metrics") } else { "/metrics".to_owned() };
    let request = Request::get(uri).header("host", authority).body(String::new());
    let request = request.map_err(|error| error.to_string())?;
    // Encrypted connections are made for HTTP/2, and plaintext ones serve this by HTTP/1 alone.
    // Asking drops its half in the end, which lets the connection end as well.
    let text = |error: hyper::Error| error.to_string();
    if tls {
        let shaken = http2::handshake(TokioExecutor::new(), stream).await;
        let (mut sender, connection) = shaken.map_err(text)?;
        let asking = async move { read(sender.send_request(request).await.map_err(text)?).await };
        tokio::join!(asking, connection).0
    } else {
        let (mut sender, connection) = http1::handshake(stream).await.map_err(text)?;
        let asking = async move { read(sender.send_request(request).await.map_err(text)?).await };
        tokio::join!(asking, connection).0
    }
}

async fn read(answer: Response<Incoming>) -> Result<String, String> {
    if !answer.status().is_success() {
        return Err(format!("the answer was {}", answer.status()));
    }
    let mut body = answer.into_body();
    let mut text = Vec::new();
    while let Some(frame) =
        std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await
    {
        if let Ok(piece) = frame.map_err(|error| error.to_string())?.into_data() {
            text.extend_from_slice(&piece);
        }
        if text.len() > MOST_BYTES {
            return Err("they do not end".to_owned());
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}
