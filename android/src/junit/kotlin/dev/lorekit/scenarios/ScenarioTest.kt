package dev.lorekit.scenarios

import java.io.File
import kotlinx.coroutines.runBlocking
import org.junit.jupiter.api.DynamicTest
import org.junit.jupiter.api.TestFactory

/** The same scenarios for Gradle and Maven. `-Dlorekit.fixtures=DIR` names the folder that `cargo xtask fixtures` wrote. */
class ScenarioTest {
    @TestFactory
    fun scenarios(): List<DynamicTest> {
        val folder = checkNotNull(System.getProperty("lorekit.fixtures")) { "-Dlorekit.fixtures=DIR is missing" }
        return allScenarios(File(folder)).map { scenario ->
            DynamicTest.dynamicTest(scenario.name) { runBlocking { scenario.run() } }
        }
    }
}
