import LoreKit
import LoreKitSampleSupport
import SwiftUI

/// An offline question-and-answer screen over the pack and the models in the app's folder `Knowledge`.
@main struct ChatApp: App {
    @State private var opening = Opening.waiting

    var body: some Scene {
        WindowGroup {
            switch opening {
            case .waiting:
                ProgressView("Opening…").task { opening = await Opening.open() }
            case .failed(let text):
                ContentUnavailableView("Not ready", systemImage: "exclamationmark.triangle", description: Text(text))
            case .open(let chat, let adapters):
                ChatScreen(chat: chat, adapters: adapters)
            }
        }
    }
}

/// How far opening has come.
@MainActor enum Opening {
    case waiting
    case open(ChatModel<Engine>, adapters: [String])
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
            adapters: adapters
        )
        do {
            return .open(ChatModel(try await Engine.open(configuration)), adapters: adapters.keys.sorted())
        } catch {
            return .failed(error.localizedDescription)
        }
    }
}
