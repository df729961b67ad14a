import Combine
import LoreKit
import LoreKitSampleSupport
import SwiftUI

/// An offline question-and-answer screen over the pack and the models in the app's folder `Knowledge`.
@main struct ChatApp: App {
    @State private var opening = Opening.waiting
    @Environment(\.scenePhase) private var phase

    var body: some Scene {
        WindowGroup {
            switch opening {
            case .waiting:
                ProgressView("Opening…").task { opening = await Opening.open() }
            case .failed(let text):
                ContentUnavailableView("Not ready", systemImage: "exclamationmark.triangle", description: Text(text))
            case .open(let engine, let chat, let updates, let adapters):
                ChatScreen(chat: chat, updates: updates, adapters: adapters)
                    .onChange(of: phase) { _, phase in
                        phase == .background ? engine.enterBackground() : engine.enterForeground()
                    }
                    .onReceive(published(UIApplication.didReceiveMemoryWarningNotification)) { _ in engine.memoryWarning() }
                    .onReceive(published(ProcessInfo.thermalStateDidChangeNotification)) { _ in
                        engine.setThermalState(ThermalState(ProcessInfo.processInfo.thermalState))
                    }
            }
        }
    }
}

private func published(_ name: Notification.Name) -> some Publisher<Notification, Never> {
    NotificationCenter.default.publisher(for: name).receive(on: DispatchQueue.main)
}

/// How far opening has come.
@MainActor enum Opening {
    case waiting
    case open(Engine, ChatModel<Engine>, UpdateModel?, adapters: [String])
    case failed(String)

    static func open() async -> Opening {
        guard let folder = Bundle.main.url(forResource: "Knowledge", withExtension: nil) else {
            return .failed("The app has no folder Knowledge.")
        }
        let files = (try? FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)) ?? []
        // adapter-calm.gguf is the adapter "calm".
        var adapters: [String: URL] = [:]
        for file in files where file.lastPathComponent.hasPrefix("adapter-") {
            adapters[String(file.deletingPathExtension().lastPathComponent.dropFirst("adapter-".count))] = file
        }
        let configuration = EngineConfiguration(
            pack: folder.appendingPathComponent("base.lorepack"),
            embedder: folder.appendingPathComponent("embedder.gguf"),
            model: folder.appendingPathComponent("model.gguf"),
            adapters: adapters,
            library: library(trusting: folder.appendingPathComponent("publisher.pub"))
        )
        do {
            let engine = try await Engine.open(configuration)
            let updates = configuration.library == nil ? nil : UpdateModel(engine)
            return .open(engine, ChatModel(engine), updates, adapters: adapters.keys.sorted())
        } catch {
            return .failed(error.localizedDescription)
        }
    }

    /// Updates need the publisher's key; without one the pack never changes. An app that ships keeps a key in the keychain
    /// and seals the folder with it.
    private static func library(trusting key: URL) -> LibraryConfiguration? {
        guard let key = try? String(contentsOf: key, encoding: .utf8) else { return nil }
        return LibraryConfiguration(folder: .applicationSupportDirectory.appending(path: "Library"), trustedKeys: [key])
    }
}
