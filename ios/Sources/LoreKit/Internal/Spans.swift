import LoreKitBindings

extension String {
    /// The range that a span of the native side names; spans are counted in UTF-8 bytes there.
    ///
    /// - Throws: ``LoreKitError/internal(reason:)`` when the span lies outside the text.
    func range(of span: FfiSpan) throws -> Range<Index> {
        guard
            let bytes = try? LoreKit.range(span.utf8Start, span.utf8End),
            let start = utf8.index(startIndex, offsetBy: bytes.lowerBound, limitedBy: endIndex),
            let end = utf8.index(start, offsetBy: bytes.count, limitedBy: endIndex)
        else { throw LoreKitError.internal(reason: "a span lies outside its text") }
        return start..<end
    }
}

/// A range of bytes; one that runs backwards is a defect of the native side, and must not stop the app.
func range(_ start: UInt64, _ end: UInt64) throws -> Range<Int> {
    guard start <= end, let start = Int(exactly: start), let end = Int(exactly: end) else {
        throw LoreKitError.internal(reason: "a range runs backwards")
    }
    return start..<end
}
