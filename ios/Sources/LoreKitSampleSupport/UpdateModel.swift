public import Foundation
public import LoreKit
public import Observation

/// The logic of two buttons, without a screen: take an update with its progress, stoppable, and go back to the one before.
@available(iOS 17, macOS 14, *)
@MainActor
@Observable
public final class UpdateModel {
    /// What came of the last press.
    public enum Status: Hashable, Sendable {
        /// Nothing was pressed yet.
        case idle
        /// An update is being taken; its progress comes soon after its start.
        case applying(ChangeProgress?)
        /// The way back is under way.
        case goingBack
        /// The update was taken; ``UpdateModel/version`` is its version.
        case updated
        /// The update had been taken before.
        case upToDate
        /// The version before is current again.
        case wentBack
        /// The person stopped it.
        case stopped
        /// It failed, and nothing changed; the text is for people.
        case failed(code: String, text: String)
    }

    /// What came of the last press.
    public private(set) var status = Status.idle
    /// The version of the knowledge that answers now.
    public private(set) var version: UInt64
    /// Whether there is a version to go back to, so that the screen offers it.
    public private(set) var canGoBack = false

    private let engine: Engine
    @ObservationIgnored private var running: Task<Void, Never>?

    /// The buttons of an engine that was opened with a library.
    public init(_ engine: Engine) {
        self.engine = engine
        version = engine.pack.version
    }

    deinit {
        running?.cancel()
    }

    /// Whether a change is under way: the buttons do nothing then, and the screen offers to stop it.
    public var isBusy: Bool {
        switch status {
        case .applying, .goingBack: true
        default: false
        }
    }

    /// Reads what the library is; call it when the screen appears.
    public func look() async {
        version = engine.pack.version
        // Without a library there is nothing to go back to, and a press says why.
        canGoBack = (try? await engine.libraryState().kept.isEmpty) == false
    }

    /// Takes an update that lies on the device; does nothing while a change is under way.
    public func apply(_ delta: URL) {
        guard !isBusy else { return }
        status = .applying(nil)
        let change = engine.apply(delta)
        // The task holds the model only while it writes, so that leaving the screen stops the update.
        running = Task { [weak self] in
            do {
                for try await progress in change { self?.status = .applying(progress) }
                let report = try await change.report()
                await self?.end(report.applied ? .updated : .upToDate)
            } catch {
                await self?.end(Status(error))
            }
        }
    }

    /// Goes back to the version before; does nothing while a change is under way.
    public func goBack() {
        guard !isBusy else { return }
        status = .goingBack
        running = Task { [weak self, engine] in
            do {
                try await engine.rollback()
                await self?.end(.wentBack)
            } catch {
                await self?.end(Status(error))
            }
        }
    }

    /// Stops the update that is being taken; the knowledge stays what it was.
    public func stop() {
        running?.cancel()
    }

    /// Waits until what was pressed has ended.
    public func settled() async {
        await running?.value
    }

    private func end(_ status: Status) async {
        await look()
        self.status = status
    }
}

@available(iOS 17, macOS 14, *)
extension UpdateModel.Status {
    fileprivate init(_ error: any Error) {
        self = switch error {
        case is CancellationError: .stopped
        case let error as LoreKitError: .failed(code: error.code, text: error.localizedDescription)
        default: .failed(code: "internal", text: error.localizedDescription)
        }
    }
}
