// Names without hashes: crates/node/src/api/page.rs carries these files by name. It takes verifier.wasm from where it is
// built, bindings/wasm/pkg, so that there is one copy of it.
import { defineConfig } from "vite";

const api = process.env.PROOFMESH_URL ?? "http://127.0.0.1:7166";

export default defineConfig({
  base: "./",
  plugins: [{ name: "one-verifier", generateBundle: (_, bundle) => void delete bundle["verifier.wasm"] }],
  build: {
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rolldownOptions: {
      output: {
        entryFileNames: "page.js",
        chunkFileNames: "[name].js",
        assetFileNames: (asset) => (asset.names.some((name) => name.endsWith(".css")) ? "page.css" : "[name][extname]"),
      },
    },
  },
  server: { port: 7170, proxy: Object.fromEntries(["/v1", "/verifier.wasm"].map((path) => [path, { target: api, changeOrigin: true }])) },
});
