//! Keeps the listeners and the gate to the files of TLS.

use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::Kept;
use crate::{
    audit::Audit,
    auth::Gate,
    boot::{
        audit,
        config::{self, Config},
        reload::Part,
        tls,
    },
    net::tls::{Keys, Tls},
};

/// Keeps the listeners and the gate to the files of TLS.
#[derive(Debug)]
pub(in crate::boot) struct Certificates {
    tls: Arc<Tls>,
    gate: Arc<Gate>,
    audit: Arc<Audit>,
    section: Mutex<config::Tls>,
}

impl Certificates {
    /// For these listeners and this gate, the files that the configuration names.
    pub(in crate::boot) fn new(
        tls: Arc<Tls>,
        gate: Arc<Gate>,
        audit: Arc<Audit>,
        config: &Config,
    ) -> Arc<Self> {
        Arc::new(Self { tls, gate, audit, section: Mutex::new(config.tls.clone()) })
    }

    /// Which files these are, and what they say, as a reload changes it.
    pub(in crate::boot) fn part(self: &Arc<Self>) -> Part {
        let this = Arc::clone(self);
        Part::new("tls", move |config| {
            let keys = tls::read(&config.tls).map_err(|error| error.to_string())?;
            let (this, section) = (Arc::clone(&this), config.tls.clone());
            Ok(Box::new(move || {
                *this.section() = section;
                this.take(keys);
            }))
        })
    }

    /// From now on, new connections and open ones are judged by these.
    fn take(&self, keys: Keys) {
        audit::reloaded(&self.audit, "tls", Some(keys.digest().to_string()), None);
        self.gate.trust(Some(keys.trust()));
        self.tls.replace(keys);
    }

    fn section(&self) -> MutexGuard<'_, config::Tls> {
        self.section.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept for Certificates {
    fn paths(&self) -> Vec<PathBuf> {
        let config::Tls { cert, key, client_ca, crl, .. } = &*self.section();
        [cert, key, client_ca].into_iter().flatten().chain(crl).cloned().collect()
    }

    fn read(&self) {
        let section = self.section().clone();
        match tls::read(&section) {
            Ok(keys) => {
                self.take(keys);
                tracing::info!("certificates are those that their files have now");
            }
            Err(error) => {
                let mistake = error.to_string();
                if self.tls.keep(mistake.clone()) {
                    audit::reloaded(&self.audit, "tls", None, Some(&mistake));
                    tracing::error!(error = mistake, "certificates unchanged: there is a mistake");
                }
            }
        }
    }
}
