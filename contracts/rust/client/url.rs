//! The address of a chain's RPC server, which is half a secret: providers put keys into its user,
//! path or query.

use std::fmt;

use reqwest::Url;
use serde::{Serialize, Serializer};
use thiserror::Error;

/// What stands for everything that was left out.
const CUT: char = '…';
/// Parts of an address that are shorter are no keys, and would be found in any text.
const SHORTEST_KEY: usize = 4;

/// The address of a chain's RPC server, `http://…` or `https://…`.
///
/// It shows itself (as text, as debug text, serialised) without what may be a key: scheme, host and
/// port, and `/…` if there was more. Only [`RpcUrl::expose`] has the whole.
///
/// ```
/// use contracts::client::RpcUrl;
///
/// let url = RpcUrl::parse("https://rpc.example:8443/v3/0123456789abcdef")?;
/// assert_eq!(url.to_string(), "https://rpc.example:8443/…");
/// assert_eq!((url.public(), url.expose().len()), (None, 44));
/// # Ok::<(), contracts::client::UrlError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct RpcUrl(Url);

/// Why a text is no address of an RPC server.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error(
    "'{shown}' is not the address of a chain's RPC ({cause}); give `http://…` or `https://…` as \
     `--chain` (setting chain.endpoint)"
)]
pub struct UrlError {
    /// What was given, without what may be a key.
    pub shown: String,
    /// Why not.
    pub cause: String,
}

impl RpcUrl {
    /// Reads an address.
    ///
    /// # Errors
    /// [`UrlError`] for other schemes, and for an address that was shown and therefore cut.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        let refused = |cause: String| UrlError {
            shown: without_keys(text),
            cause,
        };
        let url: Url = text.parse().map_err(|cause| refused(format!("{cause}")))?;
        match url.scheme() {
            _ if text.contains(CUT) => {
                Err(refused("it was cut where it may have had a key".into()))
            }
            "http" | "https" => Ok(Self(url)),
            scheme => Err(refused(format!("'{scheme}' is not supported"))),
        }
    }

    /// The whole address, for nothing but to connect.
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }

    pub(super) fn to_url(&self) -> Url {
        self.0.clone()
    }

    /// The whole address if there is no place for a key in it, as in `http://127.0.0.1:8545`.
    pub fn public(&self) -> Option<String> {
        let shown = self.to_string();
        (!shown.ends_with(CUT)).then_some(shown)
    }

    /// A text without this address's keys. Servers repeat them: `Cannot POST /v3/…`.
    pub fn censor(&self, text: &str) -> String {
        let mut keys: Vec<&str> = vec![self.0.username(), self.0.path()];
        keys.extend(self.0.password());
        keys.extend(self.0.path().split('/'));
        keys.extend(
            self.0
                .query()
                .into_iter()
                .flat_map(|query| query.split(['&', '='])),
        );
        keys.retain(|key| key.len() >= SHORTEST_KEY);
        // A key that is part of another one must not be cut out of it first.
        keys.sort_by_key(|key| std::cmp::Reverse(key.len()));
        keys.into_iter()
            .fold(text.to_owned(), |text, key| text.replace(key, "…"))
    }
}

impl fmt::Display for RpcUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&without_keys(self.0.as_str()))
    }
}

impl fmt::Debug for RpcUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RpcUrl({self})")
    }
}

impl Serialize for RpcUrl {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A text that is meant as an address, cut to scheme, host and port, with `/…` if there was more.
/// Of a text that is no address its scheme is left, and a word or a host without a scheme: anywhere
/// else there may be a key.
pub fn without_keys(text: &str) -> String {
    if let Some(shown) = text.parse().ok().and_then(|url| shown(&url)) {
        return shown;
    }
    match text.split_once("://") {
        Some((scheme, _))
            if scheme
                .chars()
                .all(|character| character.is_ascii_alphabetic()) =>
        {
            format!("{scheme}://{CUT}")
        }
        Some(_) => CUT.into(),
        None => {
            let bare = format!("http://{text}")
                .parse()
                .ok()
                .and_then(|url| shown(&url));
            let bare = bare
                .as_deref()
                .and_then(|shown| shown.strip_prefix("http://"));
            let is_plain =
                |shown: &&str| shown.contains('.') || text.chars().all(|c| c.is_ascii_alphabetic());
            bare.filter(is_plain).map_or_else(
                || {
                    if text.is_empty() {
                        String::new()
                    } else {
                        CUT.into()
                    }
                },
                str::to_owned,
            )
        }
    }
}

/// Scheme, host and port of an address that has a host, and `/…` for the rest.
fn shown(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    let port = url.port().map_or(String::new(), |port| format!(":{port}"));
    let bare = url.username().is_empty()
        && url.password().is_none()
        && matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none();
    let cut = if bare { "" } else { "/…" };
    Some(format!("{}://{host}{port}{cut}", url.scheme()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "0123456789abcdef";

    #[test]
    fn keys_are_shown_nowhere() {
        for place in [
            "user:KEY@rpc.example",
            "KEY@rpc.example",
            "rpc.example/v3/KEY",
            "rpc.example/?key=KEY",
            "rpc.example?KEY",
            "rpc.example/#KEY",
        ] {
            let url = RpcUrl::parse(&format!("https://{}", place.replace("KEY", KEY))).unwrap();
            let json = serde_json::to_string(&url).unwrap();
            assert_eq!(
                (url.to_string().as_str(), url.public()),
                ("https://rpc.example/…", None),
                "{place}"
            );
            assert_eq!(
                (format!("{url:?}").as_str(), json.as_str()),
                ("RpcUrl(https://rpc.example/…)", "\"https://rpc.example/…\"")
            );
            assert!(url.expose().contains(KEY));
        }
    }

    #[test]
    fn an_address_without_a_place_for_a_key_is_public() {
        for (given, public) in [
            ("http://127.0.0.1:8545", "http://127.0.0.1:8545"),
            ("https://rpc.example/", "https://rpc.example"),
            ("HTTP://LOCALHOST:80", "http://localhost"),
            ("http://[::1]:8545", "http://[::1]:8545"),
        ] {
            assert_eq!(
                RpcUrl::parse(given).unwrap().public().as_deref(),
                Some(public)
            );
            assert_eq!(
                RpcUrl::parse(public).unwrap().public().as_deref(),
                Some(public)
            );
        }
    }

    #[test]
    fn other_addresses_are_refused_and_show_no_key_either() {
        for bad in [
            "",
            "KEY",
            "rpc.example/KEY",
            "ftp://rpc.example/KEY",
            "ws://u:KEY@rpc.example",
            "http://",
            "http://KEY@",
            "https://x:y:z/KEY",
            "http://user:KEY/x@127.0.0.1:1",
            "http://user:KEY?x@127.0.0.1:1",
            "ws://user:KEY#x@127.0.0.1:1",
            "https://h%2FKEY",
            "http://h:80:KEY",
            "https://rpc.example/…",
        ] {
            let error = RpcUrl::parse(&bad.replace("KEY", KEY))
                .unwrap_err()
                .to_string();
            assert!(!error.contains(KEY), "{error}");
            assert!(error.contains("--chain"), "{error}");
        }
    }

    #[test]
    fn what_a_server_repeats_is_censored() {
        let url =
            RpcUrl::parse("https://me:pass1234@rpc.example/v3/0123456789abcdef?token=secret99")
                .unwrap();
        for (said, left) in [
            ("Cannot POST /v3/0123456789abcdef", "Cannot POST …"),
            (
                "project id 0123456789abcdef is unknown",
                "project id … is unknown",
            ),
            ("bad secret99 of pass1234", "bad … of …"),
            ("execution reverted: me v3", "execution reverted: me v3"),
        ] {
            assert_eq!(url.censor(said), left);
        }
    }
}
