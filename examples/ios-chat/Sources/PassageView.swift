import LoreKitSampleSupport
import SwiftUI

/// A passage with the span marked that the answer quotes.
struct PassageView: View {
    let opened: OpenedPassage
    @Environment(\.dismiss) private var dismiss

    var body: some View {
        NavigationStack {
            ScrollView {
                VStack(alignment: .leading, spacing: 8) {
                    if opened.origin == .local {
                        Label("From your own documents", systemImage: "person.crop.square").font(.footnote)
                    }
                    Text(text).textSelection(.enabled)
                }
                .padding()
                .frame(maxWidth: .infinity, alignment: .leading)
            }
            .navigationTitle(opened.title)
            .navigationBarTitleDisplayMode(.inline)
            .toolbar { Button("Done") { dismiss() } }
        }
    }

    private var text: AttributedString {
        var marked = AttributedString(opened.marked)
        marked.backgroundColor = .yellow.opacity(0.4)
        return AttributedString(opened.before) + marked + AttributedString(opened.after)
    }
}
