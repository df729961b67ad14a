// The LoreKit library for Android. The native libraries come from `cargo xtask aar`, which puts them where
// `jniLibs` below looks; Gradle itself compiles no Rust.

plugins {
    alias(libs.plugins.android.library)
    alias(libs.plugins.kotlin.android)
}

android {
    namespace = "dev.lorekit"
    compileSdk = 36
    // Native libraries are built for 16 KB pages; NDK r28 and later do so without being asked.
    ndkVersion = "28.2.13676358"

    defaultConfig {
        minSdk = 26
        consumerProguardFiles("consumer-rules.pro")
        ndk {
            abiFilters += listOf("arm64-v8a", "x86_64")
        }
    }

    sourceSets {
        getByName("main") {
            java.srcDir("src/generated/kotlin")
            jniLibs.srcDir("build/jniLibs")
        }
        // The scenarios run on the JVM of the development machine with the host's native library, see README.md.
        getByName("test") {
            java.srcDir("src/junit/kotlin")
        }
    }

    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_11
        targetCompatibility = JavaVersion.VERSION_11
    }

    testOptions {
        unitTests.all { test ->
            test.useJUnitPlatform()
            listOf("jna.library.path", "lorekit.fixtures").forEach { name ->
                providers.gradleProperty(name).orNull?.let { test.systemProperty(name, it) }
            }
        }
    }

    publishing {
        singleVariant("release") {
            withSourcesJar()
        }
    }
}

kotlin {
    explicitApi()
    compilerOptions {
        jvmTarget = org.jetbrains.kotlin.gradle.dsl.JvmTarget.JVM_11
        allWarningsAsErrors = false
    }
}

dependencies {
    api(libs.coroutines.core)
    // The AAR of JNA carries its native part for every ABI.
    implementation(libs.jna) { artifact { type = "aar" } }

    testImplementation(libs.kotlin.test)
    testImplementation(libs.junit)
    testImplementation(libs.jna)
}
