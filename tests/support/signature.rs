//! Signatures of webhooks, as the Standard Webhooks specification says.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;

/// How many of the `signatures` are good for this secret.
pub fn count(secret: &str, id: &str, timestamp: &str, body: &[u8], signatures: &str) -> usize {
    let key = secret.strip_prefix("whsec_").expect("the prefix");
    let key = STANDARD.decode(key).expect("base64");
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("any key");
    mac.update(format!("{id}.{timestamp}.").as_bytes());
    mac.update(body);
    let signature = STANDARD.encode(mac.finalize().into_bytes());
    let all = signatures.split(' ');
    all.filter(|one| one.strip_prefix("v1,") == Some(&signature))
        .count()
}
