//! How users show who they are on this server: which tokens it gives out and takes, and the keys of signed
//! ones, which follow their files.

use std::sync::Arc;
use std::time::Duration;

use super::error::ServerError;
use crate::config::{Config, Token};
use crate::tasks::{Stage, Supervisor};
use crate::telemetry::metrics::Registry;
use crate::tokens::{Jwts, Passwords, Provider, SimpleTokens};

/// How often the files of keys are looked at.
const LOOK: Duration = Duration::from_secs(1);

/// What was set up.
#[derive(Clone)]
pub(super) struct Access {
    pub(super) provider: Provider,
    pub(super) passwords: Arc<Passwords>,
    /// What the state machine tells of tokens; nothing is remembered where they are signed.
    pub(super) simple: Arc<SimpleTokens>,
}

impl Access {
    /// Sets it up; before anything else is, so that a key that cannot be used costs nothing.
    ///
    /// # Errors
    /// The keys of signed tokens cannot be used.
    pub(super) fn open(config: &Config, registry: &Registry) -> Result<Self, ServerError> {
        let auth = &config.auth;
        let simple = Arc::new(SimpleTokens::new(auth.ttl));
        let provider = match &auth.token {
            Token::Simple => Provider::Simple(Arc::clone(&simple)),
            Token::Nothing => Provider::Nothing,
            Token::Jwt(options) => {
                let loose = config.tls.loose_keys;
                Provider::Jwt(Jwts::open(options.clone(), loose, registry)?)
            }
        };
        Ok(Self { provider, passwords: Passwords::new(auth.bcrypt_cost), simple })
    }

    /// The keys of signed tokens, if there are any.
    pub(super) fn keys(&self) -> Option<&Arc<Jwts>> {
        match &self.provider {
            Provider::Jwt(keys) => Some(keys),
            Provider::Simple(_) | Provider::Nothing => None,
        }
    }

    /// Starts to follow the files of the keys.
    pub(super) fn follow(&self, supervisor: &Supervisor) {
        let Some(keys) = self.keys().cloned() else { return };
        let stop = supervisor.stop_token(Stage::Upkeep);
        supervisor.spawn("token-keys", Stage::Upkeep, async move {
            loop {
                tokio::select! {
                    () = stop.stopped() => return,
                    () = tokio::time::sleep(LOOK) => keys.refresh(),
                }
            }
        });
    }
}
