//! The page: files built from `dashboard/`, and the verifier of `bindings/wasm`, carried by the binary, served from this
//! machine alone.
//!
//! The policy lets the page load nothing and speak to nobody but this server, and run no script that is not a file of
//! its own (WebAssembly, the verifier, is compiled from such a file).

use super::Served;
use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// What the page may do.
pub const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; font-src 'self'; worker-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Path, content type, bytes. `dashboard/vite.config.ts` gives the files these names.
const FILES: [(&str, &str, &[u8]); 6] = [
    ("/", HTML, include_bytes!("../../../../dashboard/dist/index.html")),
    ("/page.js", SCRIPT, include_bytes!("../../../../dashboard/dist/page.js")),
    ("/page.css", "text/css; charset=utf-8", include_bytes!("../../../../dashboard/dist/page.css")),
    ("/icon.svg", "image/svg+xml", include_bytes!("../../../../dashboard/dist/icon.svg")),
    ("/verifier.js", SCRIPT, include_bytes!("../../../../dashboard/dist/verifier.js")),
    ("/verifier.wasm", "application/wasm", include_bytes!("../../../../bindings/wasm/pkg/verifier.wasm")),
];

pub(super) fn routes() -> Router<Served> {
    FILES.iter().fold(Router::new(), |router, (path, kind, bytes)| {
        router.route(path, get(move || async move { file(kind, bytes) }))
    })
}

fn file(kind: &'static str, bytes: &'static [u8]) -> Response {
    let headers = [
        (header::CONTENT_TYPE, kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, bytes).into_response()
}
