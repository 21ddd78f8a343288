//! Blobs in S3: one object each, `PREFIX/ab/ab01...`, by Keccak-256.
//!
//! An object appears whole or not at all and is never written with other bytes, so that a second write, or one whose answer
//! was lost, changes nothing. Reading checks the hash: `blob.damaged`. Connections are plain, for loopback and private
//! networks; every request is signed with the body's SHA-256, which the server checks (AWS, *Signature Version 4*).

use super::blobs::{Blobs, damaged};
use super::speak::{ANSWER, wait};
use crate::fault::{Fault, Result};
use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::future::try_join_all;
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpService,
};
use object_store::path::Path;
use object_store::{BackoffConfig, ClientOptions, Error, ObjectStore, ObjectStoreExt, RetryConfig};
use proofmesh_market::limits::EVIDENCE_BYTES_MAX;
use proofmesh_market::{Hash32, keccak};
use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Duration;

/// How long a server that does not answer is asked again.
const PATIENCE: Duration = Duration::from_secs(5);
/// The pauses in between, from the first to the longest.
const PAUSES: [Duration; 2] = [Duration::from_millis(50), Duration::from_millis(500)];
/// Objects that are written at once.
const PUTS_MAX: usize = 16;
/// Bytes of an answer: a blob, or a page of names.
const ANSWER_BYTES_MAX: usize = EVIDENCE_BYTES_MAX + (1 << 20);
const FORM: &str = "s3://BUCKET/PREFIX?endpoint=http://HOST:PORT";

/// Where a bucket is: `s3://BUCKET/PREFIX?endpoint=http://HOST:PORT`, the prefix optional. `AWS_ACCESS_KEY_ID` and
/// `AWS_SECRET_ACCESS_KEY` say who asks (`AWS_SESSION_TOKEN` too, if there is one), `AWS_REGION` where (us-east-1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct At {
    bucket: String,
    prefix: String,
    endpoint: String,
}

impl Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "S3 at {}, bucket {}", self.endpoint, self.bucket)
    }
}

impl At {
    /// Reads a URL.
    ///
    /// # Errors
    /// `engine.url`, `engine.password`.
    pub fn parse(url: &str) -> Result<Self> {
        if url.contains('@') {
            let expected = "who asks in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
            return Err(Fault::misuse("engine.password", expected, "a URL with it"));
        }
        let bad = || Fault::misuse("engine.url", FORM, format_args!("{url:.80}"));
        let (place, endpoint) =
            url.strip_prefix("s3://").and_then(|rest| rest.split_once("?endpoint=")).ok_or_else(bad)?;
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        let prefix = prefix.trim_end_matches('/');
        // Nothing that would have to be escaped in a request, and no empty part.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        let part = |part: &str| {
            !part.is_empty() && part.len() <= 63 && part.bytes().all(plain) && !part.starts_with('.')
        };
        let address = endpoint.strip_prefix("http://").unwrap_or_default().trim_end_matches('/');
        let spelled =
            !address.is_empty() && address.bytes().all(|byte| plain(byte) || b":[]".contains(&byte));
        if !part(bucket) || !(prefix.is_empty() || prefix.split('/').all(part)) || !spelled {
            return Err(bad());
        }
        let endpoint = format!("http://{address}");
        Ok(At { bucket: bucket.to_owned(), prefix: prefix.to_owned(), endpoint })
    }

    fn away(&self, got: impl Display) -> Fault {
        let expected = format!("{self} to answer; start it, what waits goes on by itself");
        Fault::trouble("blobs.unreachable", expected, format_args!("{got:.300}"))
    }

    fn refused(&self, got: impl Display) -> Fault {
        let expected = format!(
            "{self} to agree; does the bucket exist, and do AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY open it?"
        );
        Fault::trouble("blobs.refused", expected, format_args!("{got:.300}"))
    }

    /// What an error of the server is: one that may pass, or one that stays.
    fn fault(&self, error: &Error) -> Fault {
        let Error::Generic { source, .. } = error else { return self.refused(error) };
        match cause(&**source) {
            // A list of names that is refused; the library asks again where that may help.
            stays if stays.contains("status code: 4") && !stays.contains("status code: 429") => {
                self.refused(stays)
            }
            passes => self.away(passes),
        }
    }

    fn store(&self, caller: &Caller) -> Result<AmazonS3> {
        let client = reqwest::Client::builder().timeout(ANSWER).no_proxy().build();
        let client = client.map_err(|error| self.away(error))?;
        let [init_backoff, max_backoff] = PAUSES;
        let backoff = BackoffConfig { init_backoff, max_backoff, base: 2.0 };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(&self.bucket)
            .with_endpoint(&self.endpoint)
            .with_region(&caller.region)
            .with_access_key_id(&caller.key)
            .with_secret_access_key(&caller.secret)
            .with_http_connector(Plain(client))
            .with_allow_http(true)
            .with_retry(RetryConfig { backoff, max_retries: usize::MAX, retry_timeout: PATIENCE });
        if let Some(token) = &caller.token {
            builder = builder.with_token(token);
        }
        builder.build().map_err(|error| self.refused(error))
    }
}

/// Who asks. The environment says so, and nothing else: no file, no other machine.
#[derive(Clone)]
pub struct Caller {
    /// `AWS_ACCESS_KEY_ID`.
    pub key: String,
    /// `AWS_SECRET_ACCESS_KEY`.
    pub secret: String,
    /// `AWS_SESSION_TOKEN`, of keys that end by themselves.
    pub token: Option<String>,
    /// `AWS_REGION`.
    pub region: String,
}

impl Caller {
    /// The environment's.
    ///
    /// # Errors
    /// `blobs.credentials`.
    pub fn of_environment() -> Result<Self> {
        let of = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (Some(key), Some(secret)) = (of("AWS_ACCESS_KEY_ID"), of("AWS_SECRET_ACCESS_KEY")) else {
            let expected = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment";
            return Err(Fault::misuse("blobs.credentials", expected, "none"));
        };
        let region = of("AWS_REGION").unwrap_or_else(|| "us-east-1".to_owned());
        Ok(Caller { key, secret, token: of("AWS_SESSION_TOKEN"), region })
    }
}

/// The way to the server: this project's HTTP client, whose answers are bounded.
#[derive(Clone, Debug)]
struct Plain(reqwest::Client);

impl HttpConnector for Plain {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

#[async_trait]
impl HttpService for Plain {
    async fn call(&self, request: HttpRequest) -> std::result::Result<HttpResponse, HttpError> {
        let (head, body) = request.into_parts();
        let asked = self.0.request(head.method, head.uri.to_string()).headers(head.headers);
        let mut answer = asked.body(reqwest::Body::wrap(body)).send().await.map_err(failed)?;
        let (status, headers) = (answer.status(), std::mem::take(answer.headers_mut()));
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if bytes.len() + chunk.len() > ANSWER_BYTES_MAX {
                let long = std::io::Error::other(format!("more than {ANSWER_BYTES_MAX} bytes"));
                return Err(HttpError::new(HttpErrorKind::Decode, long));
            }
            bytes.extend_from_slice(&chunk);
        }
        let mut response = HttpResponse::new(bytes.into());
        (*response.status_mut(), *response.headers_mut()) = (status, headers);
        Ok(response)
    }
}

/// What failed, for whoever decides whether to ask again.
fn failed(error: reqwest::Error) -> HttpError {
    let kind = match &error {
        late if late.is_timeout() => HttpErrorKind::Timeout,
        refused if refused.is_connect() => HttpErrorKind::Connect,
        _ => HttpErrorKind::Interrupted,
    };
    HttpError::new(kind, error)
}

/// An error's innermost cause: the outer ones count attempts.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
    while let Some(below) = innermost.source() {
        innermost = below;
    }
    innermost.to_string()
}

/// A bucket, or a part of one.
#[derive(Clone)]
pub struct Bucket {
    at: At,
    store: Arc<AmazonS3>,
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bucket({})", self.at)
    }
}

impl Bucket {
    /// The bucket there: it has to exist, and to let this caller in.
    ///
    /// # Errors
    /// `blobs.unreachable`, `blobs.refused`.
    pub fn open(at: At, caller: &Caller) -> Result<Self> {
        let bucket = Bucket { store: Arc::new(at.store(caller)?), at };
        let it = bucket.clone();
        bucket.ask(async move {
            let prefix = Some(it.at.prefix.as_str()).filter(|prefix| !prefix.is_empty()).map(Path::from);
            match it.store.list(prefix.as_ref()).next().await {
                Some(Err(error)) => Err(it.at.fault(&error)),
                _ => Ok(()),
            }
        })?;
        Ok(bucket)
    }

    /// Does something within the time that a caller waits at most: an answer that trickles ends, too.
    fn ask<T: Send + 'static>(&self, work: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
        let (at, most) = (self.at.clone(), PATIENCE + ANSWER);
        wait(async move {
            let late = |_| at.away(format_args!("no answer within {} s", most.as_secs()));
            tokio::time::timeout(most, work).await.map_err(late)?
        })
    }

    fn path(&self, hash: &Hash32) -> Path {
        let name = hex::encode(hash.0);
        Path::from_iter(self.at.prefix.split('/').filter(|part| !part.is_empty()).chain([&name[..2], &name]))
    }
}

impl Blobs for Bucket {
    fn put(&self, bytes: &[u8]) -> Result<Hash32> {
        self.put_all(&[bytes])?;
        Ok(keccak(bytes))
    }

    fn put_all(&self, many: &[&[u8]]) -> Result<()> {
        for some in many.chunks(PUTS_MAX) {
            let some: Vec<_> = some.iter().map(|bytes| (self.path(&keccak(bytes)), bytes.to_vec())).collect();
            let it = self.clone();
            self.ask(async move {
                let puts = some.into_iter().map(|(path, bytes)| {
                    let it = &it;
                    async move { it.store.put(&path, bytes.into()).await.map_err(|error| it.at.fault(&error)) }
                });
                try_join_all(puts).await.map(drop)
            })?;
        }
        Ok(())
    }

    fn get(&self, hash: &Hash32) -> Result<Option<Vec<u8>>> {
        let (it, path, hash) = (self.clone(), self.path(hash), *hash);
        self.ask(async move {
            let found = match it.store.get(&path).await {
                // No such object, which is no answer of a bucket that is not there.
                Err(Error::NotFound { source, .. }) if !source.to_string().contains("NoSuchBucket") => {
                    return Ok(None);
                }
                found => found.map_err(|error| it.at.fault(&error))?,
            };
            let long = found.meta.size;
            if long > EVIDENCE_BYTES_MAX as u64 {
                return Err(damaged(&hash, &it.at, format_args!("{long} bytes")));
            }
            let bytes = found.bytes().await.map_err(|error| it.at.fault(&error))?;
            match keccak(&bytes) {
                same if same == hash => Ok(Some(bytes.to_vec())),
                other => Err(damaged(&hash, &it.at, other)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_would_need_escapes_are_refused() {
        for url in [
            "s3://b",
            "s3://b/p",
            "s3:///p?endpoint=http://h:1",
            "s3://b/a b?endpoint=http://h:1",
            "s3://b/a//b?endpoint=http://h:1",
            "s3://b/../b?endpoint=http://h:1",
            "s3://b?endpoint=https://h:1",
            "s3://b?endpoint=http://",
            "s3://b?endpoint=http://h:1/path",
            "http://h/b",
        ] {
            assert!(At::parse(url).expect_err(url).is("engine.url"), "{url}");
        }
        for url in ["s3://me:secret@b?endpoint=http://h:1", "s3://b?endpoint=http://me:secret@h:1"] {
            let fault = At::parse(url).expect_err("a secret");
            assert!(fault.is("engine.password") && !fault.to_string().contains("secret"));
        }
        let at = At::parse("s3://b/c/d/?endpoint=http://h:1/").expect("a place");
        assert_eq!(
            (at.bucket.as_str(), at.prefix.as_str(), at.endpoint.as_str()),
            ("b", "c/d", "http://h:1")
        );
    }
}
