//! TLS of the listeners: the handshake, and the keys and CAs that it goes by, which can change
//! while connections live.
//!
//! A session is never resumed: a client that resumes one does not show its certificate again, and
//! would be let in after its last day. A certificate is asked for and not demanded: who shows none
//! is told so by the gate in words, where a failed handshake would tell next to nothing. A bad one
//! ends the handshake.

mod keys;

use std::{
    io,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

use metrics::counter;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{CertificateError, Error as TlsError},
    server::TlsStream,
};

pub use self::keys::{Files, Keys, MinVersion, Pem};
use super::places::Places;
use crate::{
    audit::{Audit, Entry, Event},
    auth::{Certificate, Distrust, Principal, Proof, Trust},
    words::{
        bounds::{HANDSHAKE_MAX, HANDSHAKES_MAX},
        validity::Validity,
    },
};

/// Time for the other end to hear why its handshake failed.
const LEAVE_MAX: Duration = Duration::from_secs(1);

/// TLS of all listeners that have it.
#[derive(Debug)]
pub struct Tls {
    keys: RwLock<Keys>,
    /// Why later keys did not take the place of those that are used.
    mistake: Mutex<Option<String>>,
    /// Handshakes under way. Where there are too many, the oldest of the address that has most of
    /// them gives way to a new one: who connects and says nothing keeps nobody out.
    handshakes: Arc<Places>,
    /// Where refused certificates are entered.
    audit: Arc<Audit>,
}

impl Tls {
    /// TLS with these keys.
    #[must_use]
    pub fn new(keys: Keys, audit: Arc<Audit>) -> Arc<Self> {
        let handshakes = Places::new(HANDSHAKES_MAX);
        Arc::new(Self { keys: RwLock::new(keys), mistake: Mutex::default(), handshakes, audit })
    }

    /// Handshakes that begin from now on use these keys.
    pub(crate) fn replace(&self, keys: Keys) {
        *self.lock() = None;
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = keys;
        counter!("mosd_tls_reloads_total", "result" => "ok").increment(1);
    }

    /// The keys go on to be used, for this reason. Whether the reason is another than before.
    pub(crate) fn keep(&self, mistake: String) -> bool {
        let is_new = self.lock().replace(mistake.clone()) != Some(mistake);
        if is_new {
            counter!("mosd_tls_reloads_total", "result" => "refused").increment(1);
        }
        is_new
    }

    /// Whose certificates are taken.
    pub(crate) fn trust(&self) -> Arc<Trust> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).trust()
    }

    /// Why later keys did not take the place of those that are used, if so, and how long each file
    /// of these is good.
    pub(crate) fn standing(&self) -> (Option<String>, Vec<Validity>) {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        (self.lock().clone(), keys.validities().to_vec())
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.mistake.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The handshake of a connection that comes from this address; `None` where it fails, which is
    /// counted and logged.
    pub(super) async fn shake(
        &self,
        stream: TcpStream,
        address: IpAddr,
    ) -> Option<(TlsStream<TcpStream>, Proof)> {
        let shaken = self.handshake(stream, address).await;
        let outcome = shaken.as_ref().err().map_or("ok", |failed| failed.as_str());
        counter!("mosd_tls_handshakes_total", "result" => outcome).increment(1);
        match shaken {
            Ok(stream) => {
                let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
                let chain = chain.iter().map(|one| one.clone().into_owned()).collect();
                let certificate = Certificate::new(chain).map(Arc::new);
                Some((stream, Proof::Tls { address, certificate, is_known: Arc::default() }))
            }
            Err(failed) => {
                tracing::info!(result = outcome, %failed, by = %address, "TLS handshake failed");
                if failed.is_about_a_certificate() {
                    let by = address.to_string();
                    let (principal, peer, reason) = (by.clone(), by, outcome.to_owned());
                    let entry = Entry::of(Event::Handshake);
                    self.audit.post_some(Entry { principal, peer, reason, ..entry });
                }
                None
            }
        }
    }

    async fn handshake(
        &self,
        stream: TcpStream,
        address: IpAddr,
    ) -> Result<TlsStream<TcpStream>, Failed> {
        let place = self.handshakes.take(Some(Principal::Host(address)));
        let place = place.map_err(|_spent| Failed::Displaced)?;
        let config = self.keys.read().unwrap_or_else(PoisonError::into_inner).config();
        let shaken = async {
            match TlsAcceptor::from(config).accept(stream).into_fallible().await {
                Ok(stream) => Ok(stream),
                Err((error, stream)) => {
                    take_leave(stream).await;
                    Err(Failed::Io(error))
                }
            }
        };
        tokio::select! {
            shaken = timeout(HANDSHAKE_MAX, shaken) => shaken.unwrap_or(Err(Failed::Late)),
            () = place.dismissed() => Err(Failed::Displaced),
        }
    }
}

/// Ends a connection after an alert: if what it sends were left unread, closing would take back
/// what it was told.
async fn take_leave(mut stream: TcpStream) {
    let unheard = async {
        stream.shutdown().await?;
        let mut unheard = [0; 1024];
        while stream.read(&mut unheard).await? > 0 {}
        Ok::<(), io::Error>(())
    };
    // Who is gone, or does not go, has been told all the same.
    let _gone_or_stays: Result<_, _> = timeout(LEAVE_MAX, unheard).await;
}

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("it was not complete within {} seconds", HANDSHAKE_MAX.as_secs())]
    Late,
    #[error("too many were under way")]
    Displaced,
    #[error("{0}")]
    Io(io::Error),
}

impl Failed {
    /// Whether one end did not take what the other proved.
    fn is_about_a_certificate(&self) -> bool {
        let Self::Io(error) = self else { return false };
        let error = error.get_ref().and_then(|error| error.downcast_ref::<TlsError>());
        matches!(error, Some(TlsError::InvalidCertificate(_) | TlsError::AlertReceived(_)))
    }

    /// The word for it in metrics.
    fn as_str(&self) -> &'static str {
        let error = match self {
            Self::Late => return "timeout",
            Self::Displaced => return "displaced",
            Self::Io(error) => error.get_ref().and_then(|error| error.downcast_ref::<TlsError>()),
        };
        match error {
            None => "closed",
            Some(TlsError::NoApplicationProtocol) => "no_h2",
            Some(TlsError::AlertReceived(_)) => "alert",
            Some(TlsError::InvalidMessage(_) | TlsError::InappropriateMessage { .. }) => "not_tls",
            Some(TlsError::InvalidCertificate(CertificateError::InvalidPurposeContext {
                ..
            })) => "cert_bad_usage",
            Some(TlsError::InvalidCertificate(error)) => Distrust::of(error).as_str(),
            Some(_) => "refused",
        }
    }
}
