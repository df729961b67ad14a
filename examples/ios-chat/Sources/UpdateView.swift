import LoreKit
import LoreKitSampleSupport
import SwiftUI
import UniformTypeIdentifiers

/// Which version answers, and the two buttons that change it.
struct UpdateView: View {
    let updates: UpdateModel
    @State private var isChoosing = false

    var body: some View {
        HStack {
            VStack(alignment: .leading) {
                Text("Version \(updates.version)").font(.footnote)
                status
            }
            Spacer()
            if updates.isBusy {
                Button("Stop", action: updates.stop)
            } else {
                Button("Update…") { isChoosing = true }
                Button("Go back", action: updates.goBack).disabled(!updates.canGoBack)
            }
        }
        .padding(.horizontal)
        .padding(.vertical, 8)
        .background(.bar)
        .task { await updates.look() }
        .fileImporter(isPresented: $isChoosing, allowedContentTypes: [.data]) { chosen in
            guard case .success(let delta) = chosen else { return }
            Task { await take(delta) }
        }
    }

    /// A file from outside the app is open to it only between these two calls.
    private func take(_ delta: URL) async {
        let isOpened = delta.startAccessingSecurityScopedResource()
        defer { if isOpened { delta.stopAccessingSecurityScopedResource() } }
        updates.apply(delta)
        await updates.settled()
    }

    @ViewBuilder private var status: some View {
        switch updates.status {
        case .idle:
            EmptyView()
        case .applying(let progress?):
            ProgressView(value: Double(progress.done), total: Double(max(progress.total, 1)))
        case .applying(nil), .goingBack:
            ProgressView()
        case .updated:
            note("Updated.")
        case .upToDate:
            note("This update was taken before.")
        case .wentBack:
            note("The version before is back.")
        case .stopped:
            note("Stopped.")
        case .failed(_, let text):
            note(text)
        }
    }

    private func note(_ text: String) -> some View {
        Text(text).font(.footnote).foregroundStyle(.secondary)
    }
}
