#if canImport(Darwin)
public import Foundation
#endif

/// How hot the device is, in the steps of `ProcessInfo.ThermalState`, which only Apple's systems have.
public enum ThermalState: Hashable, Sendable, CaseIterable {
    /// Cool: everything is allowed.
    case nominal
    /// Warm: nothing changes yet.
    case fair
    /// Hot: answers are the same, somewhat later.
    case serious
    /// Too hot to compute: an answer is the best passage as it stands, and the model is not asked.
    case critical
}

#if canImport(Darwin)
extension ThermalState {
    /// What the system says.
    public init(_ state: ProcessInfo.ThermalState) {
        self = switch state {
        case .nominal: .nominal
        case .fair: .fair
        case .serious: .serious
        case .critical: .critical
        // A step that the system adds one day is hotter than those known today.
        @unknown default: .critical
        }
    }
}
#endif
