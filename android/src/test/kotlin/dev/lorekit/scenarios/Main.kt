package dev.lorekit.scenarios

import java.io.File
import kotlin.system.exitProcess
import kotlin.time.TimeSource
import kotlinx.coroutines.runBlocking

/** Runs the scenarios, and the checks that need no native library, without a test framework. Argument: the fixtures' folder. */
fun main(args: Array<String>) {
    val folder = File(args.firstOrNull() ?: error("the folder of the fixtures is missing"))
    val wanted = args.drop(1).toSet()
    val scenarios = allScenarios(folder).filter { wanted.isEmpty() || it.name in wanted }
    var failed = 0
    for (scenario in scenarios) {
        val started = TimeSource.Monotonic.markNow()
        try {
            runBlocking { scenario.run() }
            println("ok   ${scenario.name} (${started.elapsedNow().inWholeMilliseconds} ms)")
        } catch (error: Throwable) {
            failed++
            println("FAIL ${scenario.name}")
            error.printStackTrace(System.out)
        }
    }
    println("${scenarios.size - failed} scenarios passed, $failed failed")
    exitProcess(if (failed == 0 && scenarios.isNotEmpty()) 0 else 1)
}
