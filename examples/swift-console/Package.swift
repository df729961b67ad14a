// swift-tools-version:6.0
import PackageDescription

let package = Package(
    name: "swift-console",
    platforms: [.macOS(.v13)],
    dependencies: [.package(name: "LoreKit", path: "../../ios")],
    targets: [
        .executableTarget(name: "swift-console", dependencies: [.product(name: "LoreKit", package: "LoreKit")])
    ],
    swiftLanguageModes: [.v6]
)
