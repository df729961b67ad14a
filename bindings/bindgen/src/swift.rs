//! Generates Swift, C header and module map from the built library: `uniffi-bindgen-swift --swift-sources LIBRARY DIR`.

fn main() {
    uniffi::uniffi_bindgen_swift();
}
