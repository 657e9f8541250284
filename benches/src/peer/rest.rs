//! The few REST calls a benchmark makes, on one pool of connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use reqwest::{Client, Method};
use rustls::ClientConfig;
use serde_json::Value;

/// Longest wait for one answer. Registering hashes a password, and eight at once share two cores.
const ANSWER_MAX: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub(crate) struct Rest {
    client: Client,
    base: String,
}

impl Rest {
    /// Calls go over HTTPS where `tls` says how it is spoken.
    pub(crate) fn new(address: SocketAddr, tls: Option<&Arc<ClientConfig>>) -> Result<Self> {
        // reqwest wants a TLS provider even for a client that never speaks TLS. Another installed first is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut client = Client::builder().no_proxy().timeout(ANSWER_MAX);
        let scheme = if tls.is_some() { "https" } else { "http" };
        if let Some(config) = tls {
            client = client.tls_backend_preconfigured(ClientConfig::clone(config));
        }
        Ok(Self { client: client.build()?, base: format!("{scheme}://{address}/v1") })
    }

    /// Calls `path` (below `/v1`) and returns the JSON of a successful answer, `null` when it has no body.
    ///
    /// # Errors
    /// Any answer that is no success, with its body, since that names the server's reason.
    pub(crate) async fn call(
        &self,
        method: Method,
        path: &str,
        token: Option<&str>,
        body: Option<&Value>,
    ) -> Result<Value> {
        let call = format!("{method} {path}");
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.with_context(|| call.clone())?;
        let status = answer.status();
        let text = answer.text().await.with_context(|| call.clone())?;
        if !status.is_success() {
            bail!("{call}: {status}: {text}");
        }
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("{call}: no JSON: {text}"))
    }
}

/// The string `field` of an answer.
pub(crate) fn string(answer: &Value, field: &str) -> Result<String> {
    answer[field].as_str().map(str::to_owned).with_context(|| format!("the answer has no `{field}`: {answer}"))
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Answers one request with `answer` and returns what was asked.
    async fn one_answer(answer: &'static str) -> (Rest, tokio::task::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let rest = Rest::new(listener.local_addr().expect("bound"), None).expect("a client");
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.expect("a client");
            let mut asked = vec![0; 4096];
            let read = stream.read(&mut asked).await.expect("a request");
            stream.write_all(answer.as_bytes()).await.expect("written");
            String::from_utf8_lossy(&asked[..read]).into_owned()
        });
        (rest, server)
    }

    #[tokio::test]
    async fn a_call_carries_its_token_and_reads_its_answer() {
        let (rest, server) = one_answer("HTTP/1.1 201 Created\r\nContent-Length: 12\r\n\r\n{\"id\":\"ABC\"}").await;
        let body = serde_json::json!({"name": "bench"});
        let answer = rest.call(Method::POST, "/communities", Some("T"), Some(&body)).await.expect("created");
        assert_eq!(string(&answer, "id").expect("present"), "ABC");
        assert!(string(&answer, "name").is_err());
        let asked = server.await.expect("no panic");
        assert!(asked.starts_with("POST /v1/communities HTTP/1.1"), "{asked}");
        assert!(asked.to_lowercase().contains("authorization: bearer t"), "{asked}");
    }

    #[tokio::test]
    async fn a_refusal_quotes_the_servers_reason() {
        let (rest, _server) = one_answer("HTTP/1.1 409 Conflict\r\nContent-Length: 8\r\n\r\nconflict").await;
        let refusal = rest.call(Method::PUT, "/x", None, None).await.expect_err("refused");
        assert_eq!(refusal.to_string(), "PUT /x: 409 Conflict: conflict");
    }
}
