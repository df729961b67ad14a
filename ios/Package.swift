// swift-tools-version:6.0
import PackageDescription

// One manifest for both worlds.
// Apple: the Rust library comes out of LoreKitFFI.xcframework, made by `cargo xtask xcframework`.
// Linux (tests): the same header and module map as a system library; `cargo xtask test-swift` says where it lies.
// LOREKIT_APPLE=1 lets Linux read the Apple branch: `LOREKIT_APPLE=1 swift package dump-package`.
#if os(Linux)
let apple = Context.environment["LOREKIT_APPLE"] == "1"
#else
let apple = true
#endif

let ffi: Target = apple
    ? .binaryTarget(name: "LoreKitFFI", path: "LoreKitFFI.xcframework")
    : .systemLibrary(name: "LoreKitFFI", path: "Sources/LoreKitFFI")

// The Rust library holds C++, so it needs the C++ runtime.
let linked: [LinkerSetting] = apple ? [.linkedLibrary("c++")] : [.linkedLibrary("lorekit_ffi")]

// An import shows in the API only where it says `public`; the generated module must not show at all.
let settings: [SwiftSetting] = [.enableUpcomingFeature("InternalImportsByDefault")]

// Linux has no Foundation Models framework: there the adapter is compiled against declarations of the tests.
let declared: [Target] = apple ? [] : [.target(name: "FoundationModels", path: "Tests/DeclaredFoundationModels", exclude: ["README.md"])]
let declaredSettings: [SwiftSetting] = apple ? [] : [.define("LOREKIT_DECLARED_FOUNDATION_MODELS")]

let package = Package(
    name: "LoreKit",
    platforms: [.iOS(.v16), .macOS(.v13)],
    products: [
        .library(name: "LoreKit", targets: ["LoreKit"]),
        .library(name: "LoreKitFoundationModels", targets: ["LoreKitFoundationModels"]),
        .library(name: "LoreKitSampleSupport", targets: ["LoreKitSampleSupport"]),
    ],
    targets: declared + [
        ffi,
        .target(name: "LoreKitBindings", dependencies: ["LoreKitFFI"], linkerSettings: linked),
        .target(
            name: "LoreKit",
            dependencies: ["LoreKitBindings"],
            resources: [.copy("Resources/PrivacyInfo.xcprivacy")],
            swiftSettings: settings
        ),
        .target(
            name: "LoreKitFoundationModels",
            dependencies: ["LoreKit"] + declared.map { .byName(name: $0.name) },
            swiftSettings: settings + declaredSettings
        ),
        .target(name: "LoreKitSampleSupport", dependencies: ["LoreKit"], swiftSettings: settings),
        .testTarget(name: "LoreKitTests", dependencies: ["LoreKit"]),
        .testTarget(
            name: "LoreKitFoundationModelsTests",
            dependencies: ["LoreKitFoundationModels"],
            swiftSettings: declaredSettings
        ),
        .testTarget(name: "LoreKitSampleSupportTests", dependencies: ["LoreKitSampleSupport"]),
    ],
    swiftLanguageModes: [.v6]
)
