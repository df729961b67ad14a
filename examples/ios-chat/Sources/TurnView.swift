import LoreKit
import LoreKitSampleSupport
import SwiftUI

/// One question with its answer; cited words are links.
struct TurnView: View {
    let turn: Turn
    /// Called with the index of the tapped citation.
    let open: (Int) -> Void

    var body: some View {
        VStack(alignment: .leading, spacing: 8) {
            Text(turn.question).font(.headline)
            Text(text)
                .textSelection(.enabled)
                .environment(\.openURL, OpenURLAction { url in
                    guard let citation = url.host().flatMap(Int.init) else { return .discarded }
                    open(citation)
                    return .handled
                })
            status
        }
        .frame(maxWidth: .infinity, alignment: .leading)
    }

    private var text: AttributedString {
        turn.segments.reduce(into: AttributedString()) { text, segment in
            var part = AttributedString(segment.text)
            if let citation = segment.citation { part.link = URL(string: "citation://\(citation)") }
            text += part
        }
    }

    @ViewBuilder private var status: some View {
        switch turn.status {
        case .streaming:
            ProgressView()
        case .answered:
            EmptyView()
        case .truncated:
            note("The answer was cut off at its limit.")
        case .stopped:
            note("Stopped.")
        case .failed(_, let text):
            note(text)
        case .declined(let reason):
            VStack(alignment: .leading, spacing: 4) {
                note(reason == .nothingFound ? "Nothing was found on this." : "The passages found do not answer this.")
                ForEach(turn.passages) { passage in
                    DisclosureGroup(passage.place) { Text(passage.text).font(.footnote) }
                }
            }
        }
    }

    private func note(_ text: String) -> some View {
        Text(text).font(.footnote).foregroundStyle(.secondary)
    }
}
