"""The addresses of people, teams and the review of access."""

from __future__ import annotations

from django.urls import path

from accounts.web import invite, people, reviews, teams

urlpatterns = [
    path("people/", people.index, name="people"),
    path("people/invite/", invite.invite, name="invite"),
    path("people/changes/<uuid:change_id>/", people.decide_change, name="rights_change"),
    path("people/<uuid:person_id>/", people.show, name="person"),
    path("people/<uuid:person_id>/teams/", people.seats, name="person_teams"),
    path("people/<uuid:person_id>/roles/", people.roles, name="person_roles"),
    path("people/<uuid:person_id>/deactivate/", people.deactivate, name="person_deactivate"),
    path("people/<uuid:person_id>/reactivate/", people.reactivate, name="person_reactivate"),
    path("people/<uuid:person_id>/sign-out/", people.sign_out, name="person_sign_out"),
    path("people/<uuid:person_id>/link/", people.new_link, name="person_link"),
    path("teams/", teams.index, name="teams"),
    path("teams/<slug:slug>/", teams.show, name="team"),
    path("reviews/access/", reviews.access, name="access_review"),
    path("reviews/access.csv", reviews.as_csv, name="access_csv"),
    path("accounts/setup/<str:token>/", invite.one_time_link, name="one_time_link"),
]
