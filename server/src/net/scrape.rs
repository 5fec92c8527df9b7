//! The metrics page over HTTP, on a thread of its own: one path, GET and HEAD.
//!
//! At most [`SCRAPES_MAX`] connections, each for one request within [`SCRAPE_MAX`]. One more
//! takes the place of the oldest, so that those which say nothing keep nobody out. A system that
//! has no descriptor left is asked again after a pause.

use std::{
    collections::VecDeque,
    convert::Infallible,
    io,
    net::{SocketAddr, TcpListener as StdListener},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use mos_text::Address;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
    task::AbortHandle,
    time::{sleep, timeout},
};

use super::{
    listen::{ACCEPT_PAUSE, ListenError, PlainTcp, check_consent, not_bound},
    openmetrics,
};
use crate::{
    panics,
    words::bounds::{SCRAPE_HEAD_BYTES, SCRAPE_HEAD_MAX, SCRAPE_MAX, SCRAPES_MAX},
};

/// The page.
const PATH: &str = "/metrics";

/// The form of the page: that of `OpenMetrics`, unless a client accepts only the older one.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How long a page serves every request: it costs the same however often it is asked for.
const FRESH: Duration = Duration::from_millis(200);

/// A listener that is bound: connections wait there.
#[derive(Debug)]
pub(crate) struct Scrapes(StdListener);

impl Scrapes {
    /// Binds the address.
    ///
    /// # Errors
    ///
    /// When it is beyond loopback without consent, or cannot be bound.
    pub(crate) fn bind(address: SocketAddr, plain: PlainTcp) -> Result<Self, ListenError> {
        check_consent(address, plain)?;
        let bound = StdListener::bind(address);
        let failed = |error| not_bound(Address::Tcp(address), error);
        let listener = bound.map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        Ok(Self(listener))
    }

    /// The address that is bound.
    ///
    /// # Errors
    ///
    /// When the system cannot say.
    pub(crate) fn address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    /// Serves `metrics`, as Prometheus reads them, on a thread of its own, as long as the process
    /// lives.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub(crate) fn serve(
        self,
        metrics: impl Fn() -> String + Send + Sync + 'static,
    ) -> io::Result<()> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let page = Arc::new(Page { metrics: Box::new(metrics), made: Mutex::default() });
        let body = move || {
            panics::contains_its_panics();
            runtime.block_on(async {
                let serving = panics::spawn("the metrics listener", self.run(page));
                // A panic is noted there.
                serving.await.unwrap_or_default();
            });
        };
        thread::Builder::new().name("mos-metrics".to_owned()).spawn(body).map(drop)
    }

    async fn run(self, page: Arc<Page>) {
        let listener = match TcpListener::from_std(self.0) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!(%error, "cannot serve metrics"),
        };
        let mut connections = Connections::default();
        loop {
            match listener.accept().await {
                Ok((stream, _)) => connections.begin(stream, Arc::clone(&page)),
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection for metrics");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// The connections of now, the oldest first.
#[derive(Debug, Default)]
struct Connections(VecDeque<AbortHandle>);

impl Connections {
    fn begin(&mut self, stream: TcpStream, page: Arc<Page>) {
        self.0.retain(|connection| !connection.is_finished());
        if self.0.len() >= SCRAPES_MAX
            && let Some(oldest) = self.0.pop_front()
        {
            oldest.abort();
        }
        self.0.push_back(tokio::spawn(converse(stream, page)).abort_handle());
    }
}

/// One connection: one request and its answer.
async fn converse(stream: TcpStream, page: Arc<Page>) {
    let service = service_fn(move |request| {
        let page = Arc::clone(&page);
        async move { Ok::<_, Infallible>(page.answer(&request)) }
    });
    let conversation = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(SCRAPE_HEAD_MAX)
        .max_buf_size(SCRAPE_HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // Who went away, said nothing or did not read gets no answer; there is nobody else to tell.
    drop(timeout(SCRAPE_MAX, conversation).await);
}

/// What is served.
struct Page {
    metrics: Box<dyn Fn() -> String + Send + Sync>,
    /// The last text, and when it was made.
    made: Mutex<Option<(Instant, String)>>,
}

impl Page {
    fn answer(&self, request: &Request<Incoming>) -> Response<String> {
        let (method, path) = (request.method(), request.uri().path());
        if path != PATH {
            return said(StatusCode::NOT_FOUND, format!("There is {PATH} only.\n"));
        }
        if ![Method::GET, Method::HEAD].contains(method) {
            let mut refusal =
                said(StatusCode::METHOD_NOT_ALLOWED, "There is GET and HEAD only.\n".to_owned());
            refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return refusal;
        }
        let (kind, text) = if wants_prometheus(request.headers()) {
            (PROMETHEUS, self.text())
        } else {
            (OPENMETRICS, openmetrics::of(&self.text()))
        };
        let mut answer = said(StatusCode::OK, text);
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        answer
    }

    /// The metrics of now, or nearly.
    fn text(&self) -> String {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match &*made {
            Some((at, text)) if at.elapsed() < FRESH => text.clone(),
            Some(_) | None => made.insert((Instant::now(), (self.metrics)())).1.clone(),
        }
    }
}

/// Whether a client reads the older form only.
fn wants_prometheus(headers: &HeaderMap) -> bool {
    let accepted = headers.get(ACCEPT).and_then(|accepted| accepted.to_str().ok());
    accepted.is_some_and(|accepted| {
        accepted.contains("text/plain") && !accepted.contains("application/openmetrics-text")
    })
}

fn said(status: StatusCode, text: String) -> Response<String> {
    let mut response = Response::new(text);
    *response.status_mut() = status;
    response
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpStream as StdStream,
    };

    use super::*;

    /// A read that takes longer hangs.
    const PATIENCE: Duration = Duration::from_secs(60);

    const METRICS: &str = "# HELP x_total X.\n# TYPE x_total counter\nx_total 1\n\n";

    fn served() -> SocketAddr {
        let loopback = ([127, 0, 0, 1], 0).into();
        let scrapes = Scrapes::bind(loopback, PlainTcp::LoopbackOnly).unwrap();
        let address = scrapes.address().unwrap();
        scrapes.serve(|| METRICS.to_owned()).unwrap();
        address
    }

    fn connect(address: SocketAddr) -> StdStream {
        let stream = StdStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Everything that comes until the end.
    fn rest(mut stream: StdStream) -> String {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    }

    fn ask(address: SocketAddr, head: &str) -> String {
        let mut stream = connect(address);
        stream.write_all(format!("{head}Host: x\r\n\r\n").as_bytes()).unwrap();
        rest(stream)
    }

    #[test]
    fn the_page_is_openmetrics_unless_only_the_older_form_is_accepted() {
        let address = served();
        let page = ask(address, "GET /metrics HTTP/1.1\r\n");
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
        assert!(page.contains("content-type: application/openmetrics-text; version=1.0.0;"));
        let text = "# HELP x X.\n# TYPE x counter\nx_total 1\n# EOF\n";
        assert!(page.ends_with(&format!("\r\n\r\n{text}")), "{page}");
        let page = ask(address, "GET /metrics HTTP/1.1\r\nAccept: text/plain\r\n");
        assert!(page.contains("content-type: text/plain; version=0.0.4;"), "{page}");
        assert!(page.ends_with(METRICS), "{page}");
        let head = ask(address, "HEAD /metrics HTTP/1.1\r\n");
        assert!(head.contains(&format!("content-length: {}\r\n", text.len())), "{head}");
        assert!(head.ends_with("\r\n\r\n"), "{head}");
    }

    #[test]
    fn other_paths_and_methods_are_refused() {
        let address = served();
        let other = ask(address, "GET / HTTP/1.1\r\n");
        assert!(other.starts_with("HTTP/1.1 404 "), "{other}");
        for method in ["POST", "DELETE", "OPTIONS"] {
            let refused = ask(address, &format!("{method} /metrics HTTP/1.1\r\n"));
            assert!(refused.starts_with("HTTP/1.1 405 "), "{refused}");
            assert!(refused.contains("allow: GET, HEAD\r\n"), "{refused}");
        }
    }

    #[test]
    fn connections_that_say_nothing_keep_nobody_out_and_are_few() {
        let address = served();
        let silent: Vec<_> = (0..3 * SCRAPES_MAX).map(|_| connect(address)).collect();
        let page = ask(address, "GET /metrics HTTP/1.1\r\n");
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
        // All but the last ones have been closed, without a word.
        for stream in silent.into_iter().take(2 * SCRAPES_MAX) {
            assert_eq!(rest(stream), "");
        }
    }

    #[test]
    fn one_connection_is_for_one_request_and_for_a_few_seconds() {
        let address = served();
        let requests = "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(50);
        let mut stream = connect(address);
        stream.write_all(requests.as_bytes()).unwrap();
        let mut answers = Vec::new();
        // The rest of what was sent may meet a closed connection.
        let _closed: io::Result<usize> = stream.read_to_end(&mut answers);
        assert_eq!(String::from_utf8_lossy(&answers).matches("HTTP/1.1 200").count(), 1);
        let mut silent = connect(address);
        silent.write_all(b"GET /metrics HT").unwrap();
        let began = Instant::now();
        let _closed: String = rest(silent);
        assert!(began.elapsed() < PATIENCE);
    }

    #[test]
    fn beyond_loopback_it_takes_consent() {
        let everywhere = ([0, 0, 0, 0], 0).into();
        let refused = Scrapes::bind(everywhere, PlainTcp::LoopbackOnly);
        assert!(matches!(refused, Err(ListenError::Insecure(_))));
        Scrapes::bind(everywhere, PlainTcp::Anywhere).unwrap();
    }
}
