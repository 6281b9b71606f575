//! Everybody who may come, as a configuration says it at a moment.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use subtle::ConstantTimeEq as _;

use super::key::KeyHash;
use super::rights::{Rights, Sight};
use crate::domain::caller::Caller;
use crate::domain::message::Draft;
use crate::domain::webhook::Secret;

/// Two keys that are the same could not tell whose request it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key is given more than once")]
pub struct KeyRepeated;

/// Why a caller does not get one more secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SecretRefused {
    /// It would sign twice.
    #[error("has this secret already")]
    Repeated,
    /// There are the one in use and the one before or after it.
    #[error("has {SECRETS_MAX} secrets already, the most that may sign at the same time")]
    TooMany,
}

/// What may sign at the same time for one caller: the secret in use and the one before or after it.
const SECRETS_MAX: usize = 2;

/// Everybody who may come.
///
/// Where nobody is named at all, everybody who can connect is the one caller without a name, and only this
/// machine is served. Somebody who is named and has no key keeps the gateway closed: to take the last key
/// away opens nothing.
#[derive(Clone, Default, PartialEq)]
pub struct Callers {
    keys: Vec<(KeyHash, Caller)>,
    named: BTreeMap<Caller, Arc<Rights>>,
    secrets: BTreeMap<Caller, Vec<Secret>>,
    /// Whoever comes without a key is the caller without a name, also where others have keys.
    pub allow_anonymous: bool,
}

/// What a request says of who it comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credentials<'a> {
    /// Nothing.
    None,
    /// It has this key.
    Key(&'a [u8]),
    /// Something that is no key.
    Malformed,
}

/// Whose request it is, and what it may do.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Access {
    /// Who.
    pub caller: Caller,
    /// What it may do.
    pub rights: Arc<Rights>,
    /// What it has proven itself with.
    key: Option<KeyHash>,
}

impl Access {
    /// Whether it may see a message of `owner`.
    #[must_use]
    pub fn sees(&self, owner: &Caller) -> bool {
        self.scope().is_none_or(|own| own == owner)
    }

    /// Whose messages it may see; `None` is everybody's.
    #[must_use]
    pub fn scope(&self) -> Option<&Caller> {
        match self.rights.see {
            Sight::Own => Some(&self.caller),
            Sight::All => None,
        }
    }
}

impl Callers {
    /// Names `caller`, who may do what `rights` say.
    pub fn name(&mut self, caller: Caller, rights: Rights) {
        self.named.insert(caller, Arc::new(rights));
    }

    /// Gives `caller` one more key. Who is not named yet is now, with the default rights.
    ///
    /// # Errors
    /// [`KeyRepeated`], when somebody has it.
    pub fn add_key(&mut self, caller: &Caller, key: KeyHash) -> Result<(), KeyRepeated> {
        self.named.entry(caller.clone()).or_default();
        if self.keys.iter().any(|(known, _)| *known == key) {
            return Err(KeyRepeated);
        }
        self.keys.push((key, caller.clone()));
        Ok(())
    }

    /// Gives `caller` a secret that signs the `callback_url`s of its messages. While a secret is rotated
    /// there are two, which both sign; who has none may name no `callback_url`. It names nobody.
    ///
    /// # Errors
    /// [`SecretRefused`].
    pub fn add_secret(&mut self, caller: &Caller, secret: Secret) -> Result<(), SecretRefused> {
        let theirs = self.secrets.entry(caller.clone()).or_default();
        if theirs.contains(&secret) {
            return Err(SecretRefused::Repeated);
        }
        if theirs.len() == SECRETS_MAX {
            return Err(SecretRefused::TooMany);
        }
        theirs.push(secret);
        Ok(())
    }

    /// Whether nobody has a name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.named.is_empty()
    }

    /// What takes the place of these while the gateway runs, when `next` is read. Nothing does when these
    /// have names and `next` has none: a file that was emptied or cut must not open the gateway to everybody.
    /// Whether somebody may come without a key stays as it is for the same reason.
    #[must_use]
    pub fn followed_by(&self, next: &Self) -> Option<Self> {
        (self.is_empty() || !next.is_empty()).then(|| Self {
            allow_anonymous: self.allow_anonymous,
            ..next.clone()
        })
    }

    /// Whether everybody is the caller without a name although that was not asked for: then only this
    /// machine may be served.
    #[must_use]
    pub fn are_this_machine(&self) -> bool {
        !self.allow_anonymous && self.is_empty()
    }

    /// Everybody who has a name, in their order.
    pub fn names(&self) -> impl Iterator<Item = &Caller> {
        self.named.keys()
    }

    /// How many keys there are.
    #[must_use]
    pub fn keys_count(&self) -> usize {
        self.keys.len()
    }

    /// Whose request it is; `None` when that is not proven. Every key is looked at, and each for the same
    /// time.
    #[must_use]
    pub fn identify(&self, credentials: Credentials<'_>) -> Option<Access> {
        match credentials {
            _ if self.is_empty() => Some(Access::default()),
            Credentials::None if self.allow_anonymous => Some(Access::default()),
            Credentials::Key(key) => self.of_key(KeyHash::of(key)),
            Credentials::None | Credentials::Malformed => None,
        }
    }

    /// Whether `access`, which was given before, would be given again and with it as much to see: what
    /// goes on for long looks at this when callers have changed.
    #[must_use]
    pub fn still_lets_see(&self, access: &Access) -> bool {
        let now = match access.key {
            Some(key) => self.of_key(key),
            None => self.identify(Credentials::None),
        };
        now.is_some_and(|now| now.caller == access.caller && now.rights.see == access.rights.see)
    }

    /// Whether `access` may see what is about all callers together. Where nobody has a name, all are one.
    #[must_use]
    pub fn let_see_all(&self, access: &Access) -> bool {
        self.is_empty() || access.scope().is_none()
    }

    /// Whether the caller of `draft` may publish it as things are now. Who is not named (any more) may
    /// publish nothing.
    #[must_use]
    pub fn may_publish(&self, draft: &Draft) -> bool {
        if draft.caller == Caller::default() {
            return self.allow_anonymous || self.is_empty();
        }
        (self.named.get(&draft.caller)).is_some_and(|rights| rights.may_publish(draft))
    }

    /// What signs the callbacks of `caller`.
    #[must_use]
    pub fn secrets(&self, caller: &Caller) -> &[Secret] {
        self.secrets.get(caller).map_or(&[], Vec::as_slice)
    }

    fn of_key(&self, key: KeyHash) -> Option<Access> {
        let mut found = None;
        for (known, caller) in &self.keys {
            if bool::from(known.ct_eq(&key)) {
                found = Some(caller);
            }
        }
        let caller = found?;
        Some(Access {
            caller: caller.clone(),
            rights: self.named.get(caller).map(Arc::clone)?,
            key: Some(key),
        })
    }
}

impl fmt::Debug for Callers {
    /// Names and rights; neither keys nor secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(&self.named).finish()
    }
}

#[cfg(test)]
mod tests;
