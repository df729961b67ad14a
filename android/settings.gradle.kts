pluginManagement {
    repositories {
        google()
        mavenCentral()
        gradlePluginPortal()
    }
}

dependencyResolutionManagement {
    repositoriesMode = RepositoriesMode.FAIL_ON_PROJECT_REPOS
    repositories {
        google()
        mavenCentral()
    }
}

rootProject.name = "lorekit-android"

include(":lorekit")
project(":lorekit").projectDir = file(".")
include(":sample-support")
include(":android-chat")
project(":android-chat").projectDir = file("../examples/android-chat")
