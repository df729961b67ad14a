import LoreKit
import LoreKitSampleSupport
import SwiftUI

/// Questions and answers, a field to ask, and who says it.
struct ChatScreen: View {
    @Bindable var chat: ChatModel<Engine>
    let updates: UpdateModel?
    let adapters: [String]
    @State private var question = ""

    var body: some View {
        NavigationStack {
            ScrollView {
                LazyVStack(alignment: .leading, spacing: 16) {
                    ForEach(chat.turns) { turn in
                        TurnView(turn: turn) { citation in chat.open(citation: citation, of: turn) }
                    }
                }
                .padding()
            }
            .defaultScrollAnchor(.bottom)
            .safeAreaInset(edge: .bottom) { field }
            .safeAreaInset(edge: .top) {
                if let updates { UpdateView(updates: updates) }
            }
            .navigationTitle("Ask")
            .toolbar {
                if !adapters.isEmpty {
                    Picker("Style", selection: $chat.adapter) {
                        Text("Plain").tag(String?.none)
                        ForEach(adapters, id: \.self) { Text($0).tag(String?.some($0)) }
                    }
                }
            }
            .sheet(item: $chat.opened) { PassageView(opened: $0) }
        }
    }

    private var field: some View {
        HStack {
            TextField("Question", text: $question, axis: .vertical)
                .textFieldStyle(.roundedBorder)
                .onSubmit(ask)
            if chat.isBusy {
                Button("Stop", systemImage: "stop.circle.fill", action: chat.stop)
            } else {
                Button("Ask", systemImage: "arrow.up.circle.fill", action: ask)
                    .disabled(question.isEmpty)
            }
        }
        .labelStyle(.iconOnly)
        .padding()
        .background(.bar)
    }

    private func ask() {
        chat.ask(question)
        question = ""
    }
}
