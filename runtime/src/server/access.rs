//! Who may ask: the Host and Origin of a request, and, beyond this machine, a token.
//!
//! A browser sends whatever page's requests to any address. A foreign page is known by its Origin, a foreign name that was
//! made to point here (DNS rebinding) by its Host.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::problem::Problem;

/// Name of the cookie that stands for the token in a browser.
const COOKIE: &str = "xreport-session";

/// Browsers that are signed in at a time; the oldest goes.
const MOST_SESSIONS: usize = 64;

/// What anybody on an accepted Host may read: the page itself, which holds no data, and whether the server lives.
const OPEN: [&str; 4] = ["/", "/health/live", "/health/ready", "/api/session"];

/// Who may ask.
#[derive(Debug)]
pub struct Access {
    /// `name:port`, in lower case, by which this server may be called.
    hosts: Vec<String>,
    token_sha256: Option<[u8; 32]>,
    sessions: Mutex<VecDeque<String>>,
}

impl Access {
    /// For a server at `address`, with further names for it, and the token that callers must know.
    pub fn new(address: SocketAddr, names: &[String], token: Option<&str>) -> Self {
        let port = address.port();
        let mut hosts = vec![format!("{address}")];
        if address.ip().is_loopback() || address.ip().is_unspecified() {
            hosts.extend([format!("localhost:{port}"), format!("127.0.0.1:{port}"), format!("[::1]:{port}")]);
        }
        hosts.extend(names.iter().map(|name| name.to_lowercase()).flat_map(|name| [format!("{name}:{port}"), name]));
        let token_sha256 = token.map(|token| Sha256::digest(token).into());
        Self { hosts, token_sha256, sessions: Mutex::default() }
    }

    /// A new session's cookie for who knows the token.
    pub fn sign_in(&self, token: &str) -> Option<String> {
        if !self.knows(token) {
            return None;
        }
        let session = super::random_id();
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.push_back(session.clone());
        if sessions.len() > MOST_SESSIONS {
            sessions.pop_front();
        }
        Some(format!("{COOKIE}={session}; Path=/; HttpOnly; SameSite=Strict"))
    }

    /// Compared by hash, so that the time tells nothing of the token.
    fn knows(&self, token: &str) -> bool {
        let hash: [u8; 32] = Sha256::digest(token).into();
        self.token_sha256.is_none_or(|wanted| wanted == hash)
    }

    fn check_host(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_lowercase();
        if headers.get_all(header::HOST).iter().count() == 1 && self.hosts.contains(&host) {
            return Ok(());
        }
        Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            format!(
                "Host: expected {}, found another\nhint: --host NAME adds a name for this server",
                self.hosts.join(" or ")
            ),
        ))
    }

    /// Requests that a page of another origin makes are refused, whatever they ask for.
    fn check_origin(&self, headers: &HeaderMap) -> Result<(), Problem> {
        let foreign = || Problem::new(StatusCode::FORBIDDEN, "Origin: expected this server's own page, found another");
        if let Some(origin) = headers.get(header::ORIGIN) {
            let origin = origin.to_str().map_err(|_| foreign())?.to_lowercase();
            let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
            if !host.is_some_and(|host| self.hosts.iter().any(|known| known == host)) {
                return Err(foreign());
            }
        }
        match headers.get("sec-fetch-site").map(axum::http::HeaderValue::as_bytes) {
            None | Some(b"same-origin" | b"none") => Ok(()),
            Some(_) => Err(foreign()),
        }
    }

    fn check_token(&self, headers: &HeaderMap) -> Result<(), Problem> {
        if self.token_sha256.is_none() {
            return Ok(());
        }
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        let bearer = text(header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        if bearer.is_some_and(|token| self.knows(token)) {
            return Ok(());
        }
        let cookies = text(header::COOKIE).unwrap_or_default().split(';');
        let session = cookies.filter_map(|cookie| cookie.trim().split_once('=')).find(|(name, _)| *name == COOKIE);
        let sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        if session.is_some_and(|(_, session)| sessions.iter().any(|known| known == session)) {
            return Ok(());
        }
        let hint = "hint: send `Authorization: Bearer TOKEN`, or sign in on the page";
        Err(Problem::new(StatusCode::UNAUTHORIZED, format!("a token is expected, found none that is valid\n{hint}")))
    }

    fn check(&self, request: &Request) -> Result<(), Problem> {
        let headers = request.headers();
        self.check_host(headers)?;
        let path = request.uri().path();
        let reading = matches!(*request.method(), Method::GET | Method::HEAD);
        // A link on another page may lead here, and a page's own files hold nothing.
        if !(reading && path == "/") {
            self.check_origin(headers)?;
        }
        let open = OPEN.contains(&path) || path.starts_with("/page/");
        if open { Ok(()) } else { self.check_token(headers) }
    }
}

/// Lets requests through that [`Access`] allows.
pub async fn guard(State(access): State<Arc<Access>>, request: Request, next: Next) -> Response {
    match access.check(&request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn status(access: &Access, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        access.check(&request).map_or_else(|problem| problem.status().as_u16(), |()| 200)
    }

    #[test]
    fn only_known_hosts_and_origins_pass() {
        let access = Access::new("127.0.0.1:8090".parse().unwrap(), &["Reading-Room.local".into()], None);
        let host = ("host", "127.0.0.1:8090");
        for (expected, headers) in [
            (200, vec![host]),
            (200, vec![("host", "LOCALHOST:8090")]),
            (200, vec![("host", "reading-room.local")]),
            (421, vec![]),
            (421, vec![("host", "127.0.0.1:80")]),
            (421, vec![("host", "evil.example:8090")]),
            (421, vec![host, ("host", "evil.example")]),
            (200, vec![host, ("origin", "http://127.0.0.1:8090")]),
            (403, vec![host, ("origin", "http://evil.example")]),
            (403, vec![host, ("origin", "http://127.0.0.1:8090.evil.example")]),
            (403, vec![host, ("origin", "null")]),
            (403, vec![host, ("sec-fetch-site", "cross-site")]),
            (403, vec![host, ("sec-fetch-site", "same-site")]),
            (200, vec![host, ("sec-fetch-site", "same-origin")]),
        ] {
            assert_eq!(status(&access, "POST", "/api/studies", &headers), expected, "{headers:?}");
        }
        let linked = [host, ("sec-fetch-site", "cross-site")];
        assert_eq!(status(&access, "GET", "/", &linked), 200, "a link leads here");
        assert_eq!(status(&access, "GET", "/api/studies", &linked), 403);
    }

    #[test]
    fn with_a_token_nothing_but_the_page_is_open() {
        let access = Access::new("10.0.0.7:8090".parse().unwrap(), &[], Some("a long secret"));
        let host = ("host", "10.0.0.7:8090");
        let asked = |headers: &[(&str, &str)]| status(&access, "GET", "/api/studies", headers);
        assert_eq!(asked(&[host]), 401);
        assert_eq!(asked(&[host, ("authorization", "Bearer a long secre")]), 401);
        assert_eq!(asked(&[host, ("authorization", "Bearer a long secret")]), 200);
        assert_eq!(asked(&[host, ("cookie", "xreport-session=")]), 401);
        assert_eq!(access.sign_in("wrong"), None);
        let cookie = access.sign_in("a long secret").unwrap();
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict") && !cookie.contains("secret"));
        let pair = cookie.split(';').next().unwrap();
        assert_eq!(asked(&[host, ("cookie", &format!("other=1; {pair}"))]), 200);
        for open in ["/", "/page/room.js", "/health/live"] {
            assert_eq!(status(&access, "GET", open, &[host]), 200, "{open}");
        }
        assert_eq!(status(&access, "GET", "/metrics", &[host]), 401);
    }
}
